package release

import (
	"context"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// blockSize is how much is hashed and written at once, in bytes, and what one request of several asks for: each
	// hand-over costs the wake-up of another thread.
	blockSize = 1 << 20
	// streamBlocks lets one block be filled while another is hashed and a third waits for that.
	streamBlocks = 3
	// flushAfter is how long a block may wait to be full. What is in memory is lost to a kill.
	flushAfter = 100 * time.Millisecond
	// syncEvery is after how many bytes the disk is told to get to work, if it has nothing to do. So little is left for it
	// when the last byte has come, and little is lost to a power cut.
	syncEvery = 8 << 20
)

// block is a part of a file on its way into it.
type block struct {
	data  []byte
	users atomic.Int32 // hashes that it is not in yet
}

// sink appends blocks to a partial file. Hashes and the disk work beside whoever calls it: while a core waits for the
// network it has time for that, and SHA-512, with no help from the processor on amd64, takes longer than a fast network
// does.
type sink struct {
	into     *partial
	memory   []byte // of the blocks
	free     chan *block
	hashes   []chan *block // one for each hash
	dirty    chan struct{}
	unsynced int64 // bytes
	running  sync.WaitGroup
	err      error // of the disk; to be read after close only
}

// newSink makes a sink with so many blocks. Close it: until then the hashes of the partial file are not those of its bytes.
//
// The blocks are mapped with all their pages and given back by close. On a heap that is still small each page would cost a
// fault, hundreds of which are a tenth of a download on virtual machines that trap them.
func newSink(into *partial, blocks int) (*sink, error) {
	memory, err := syscall.Mmap(-1, 0, blocks*blockSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	s := &sink{into: into, memory: memory, free: make(chan *block, blocks), dirty: make(chan struct{})}
	for i := range blocks {
		s.free <- &block{data: memory[i*blockSize : (i+1)*blockSize : (i+1)*blockSize]}
	}
	for _, sum := range into.hashes() {
		in := make(chan *block, blocks)
		s.hashes = append(s.hashes, in)
		s.running.Go(func() {
			for b := range in {
				sum.Write(b.data)
				if b.users.Add(-1) == 0 {
					s.free <- b
				}
			}
		})
	}
	s.running.Go(func() {
		for range s.dirty {
			// An error is told once per file, so it must not get lost here.
			if err := into.file.Sync(); s.err == nil {
				s.err = err
			}
		}
	})
	return s, nil
}

// block returns a block to fill, which goes to write, or nil when ctx ends.
func (s *sink) block(ctx context.Context) *block {
	select {
	case b := <-s.free:
		b.data = b.data[:blockSize]
		return b
	case <-ctx.Done():
		return nil
	}
}

// write appends a block's data. After an error the file has a part of it.
func (s *sink) write(b *block) error {
	n, err := s.into.file.Write(b.data)
	b.data = b.data[:n]
	s.into.note(b.data)
	if s.unsynced += int64(n); s.unsynced >= syncEvery {
		select {
		case s.dirty <- struct{}{}:
			s.unsynced = 0
		default: // the disk is still busy
		}
	}
	b.users.Store(int32(len(s.hashes)))
	for _, in := range s.hashes {
		in <- b
	}
	return err
}

// close returns when all that was written is in the hashes. Its error is the disk's. Nobody may use a block any more.
func (s *sink) close() error {
	for _, in := range s.hashes {
		close(in)
	}
	close(s.dirty)
	s.running.Wait()
	_ = syscall.Munmap(s.memory) // it is what Mmap returned
	return s.err
}
