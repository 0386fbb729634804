package release

import (
	"hash"
	"sync"
	"sync/atomic"
)

const (
	// blockSize is how much of a body is read at once, in bytes, and blocks how many of these are there: while one is
	// read, others are hashed.
	blockSize = 128 << 10
	blocks    = 5
)

// block is a part of a file that is on its way through the hashers.
type block struct {
	data  []byte
	users atomic.Int32
}

// hasher computes digests beside the goroutine that reads and writes: a core that waits for the network has time for it.
// SHA-512 has no help from the processor on amd64, and takes longer than a fast network does.
type hasher struct {
	in    []chan *block // one for each hash
	free  chan *block
	ended sync.WaitGroup
}

// newHasher starts a goroutine for each hash. Call wait to end them.
func newHasher(hashes ...hash.Hash) *hasher {
	h := &hasher{free: make(chan *block, blocks)}
	for range blocks {
		h.free <- nil
	}
	for _, sum := range hashes {
		in := make(chan *block, blocks)
		h.in = append(h.in, in)
		h.ended.Go(func() {
			for b := range in {
				sum.Write(b.data)
				if b.users.Add(-1) == 0 {
					h.free <- b
				}
			}
		})
	}
	return h
}

// block returns a buffer to read into. It belongs to the caller until hash.
func (h *hasher) block() *block {
	b := <-h.free
	if b == nil {
		b = &block{data: make([]byte, blockSize)}
	}
	b.data = b.data[:blockSize]
	return b
}

// hash takes a block, of which the data counts.
func (h *hasher) hash(b *block) {
	if len(b.data) == 0 {
		h.free <- b
		return
	}
	b.users.Store(int32(len(h.in)))
	for _, in := range h.in {
		in <- b
	}
}

// wait returns when all that was given is in the hashes.
func (h *hasher) wait() {
	for _, in := range h.in {
		close(in)
	}
	h.ended.Wait()
}
