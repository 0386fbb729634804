package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultConnections is how many connections fetch one file at most, unless a Client says otherwise.
	DefaultConnections = 4
	// leastRest is how much must be missing, in bytes, for more requests to be worth a server's while.
	leastRest = 8 * blockSize
	// A single stream is given some time to show how fast it is. It goes on alone if the rest is not worth more.
	observe = 300 * time.Millisecond
	worth   = 700 * time.Millisecond
	// After this time several connections have to be faster by a fifth than one was.
	trial = 2 * time.Second
)

// errChanged says that two answers were about different files.
var errChanged = errors.New("the file changed on the server while it was fetched")

// ranged is what an answer tells about a file that can be fetched in pieces.
type ranged struct {
	url       string // after redirects
	validator string // a strong ETag, else Last-Modified
	total     int64
}

// pieces reports whether the file of an answer can be fetched in pieces; nil when it cannot.
func (g *httpGetter) pieces(resp *http.Response, total int64) *ranged {
	validator := resp.Header.Get("ETag")
	if validator == "" || strings.HasPrefix(validator, "W/") {
		validator = resp.Header.Get("Last-Modified")
	}
	partly := resp.StatusCode == http.StatusPartialContent || resp.Header.Get("Accept-Ranges") == "bytes"
	if g.alone || g.client.connections() < 2 || total < 0 || validator == "" || !partly {
		return nil
	}
	return &ranged{url: resp.Request.URL.String(), validator: validator, total: total}
}

// slow reports whether the rest of a file would take one stream so long that several are worth a try.
func (r *ranged) slow(done, size int64, since time.Time) bool {
	took := time.Since(since)
	if r == nil || took < observe {
		return false
	}
	rest := float64(r.total-size) / (float64(done) / took.Seconds())
	return r.total-size >= leastRest && rest > worth.Seconds()
}

// parallel fetches the rest of a file over several connections, a block each, and closes the stream that was slow as soon as
// one has come that way. A block is held in memory until all before it are written: so the partial file always is the
// beginning of the file, also when this fails. There are as many blocks as connections. single is the speed of one
// connection, in bytes per second.
func (g *httpGetter) parallel(ctx context.Context, a *answer, single float64) (over end, err error) {
	s, err := newSink(g.into, g.client.connections())
	if err != nil {
		return interrupted, err
	}
	defer func() {
		if diskErr := s.close(); diskErr != nil {
			over, err = interrupted, diskErr
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	q := &pieceQueue{getter: g, answer: a, sink: s, pieces: make(chan chan piece, cap(s.free))}
	defer q.running.Wait()
	defer cancel()

	b := s.block(ctx)
	if b == nil {
		return interrupted, ctx.Err()
	}
	first := q.fetch(ctx, b, g.into.size)
	if first.err != nil {
		return noRanges, nil
	}
	a.body.Close()
	if err := s.write(first.block); err != nil {
		return interrupted, err
	}
	from := g.into.size
	q.running.Go(func() { q.fetchFrom(ctx, from) })
	return q.write(ctx, single)
}

// pieceQueue is the rest of a file in pieces, in the order of the file.
type pieceQueue struct {
	getter  *httpGetter
	answer  *answer
	sink    *sink
	pieces  chan chan piece
	running sync.WaitGroup
}

// piece is a block that has come, or has not.
type piece struct {
	*block
	err error
}

// fetch fetches the piece at an offset.
func (q *pieceQueue) fetch(ctx context.Context, b *block, from int64) piece {
	b.data = b.data[:min(blockSize, q.answer.total-from)]
	return piece{b, q.getter.piece(ctx, q.answer.pieces, from, b.data)}
}

// fetchFrom fetches all pieces from an offset on, as many at once as there are blocks.
func (q *pieceQueue) fetchFrom(ctx context.Context, offset int64) {
	defer close(q.pieces)
	for from := offset; from < q.answer.total; from += blockSize {
		b := q.sink.block(ctx)
		if b == nil {
			return
		}
		result := make(chan piece, 1)
		q.pieces <- result
		q.running.Go(func() { result <- q.fetch(ctx, b, from) })
	}
}

// write appends the pieces as they come, and gives up when they come no faster than they would one after the other.
func (q *pieceQueue) write(ctx context.Context, single float64) (end, error) {
	into := q.getter.into
	began, start := time.Now(), into.size
	compared := false
	for result := range q.pieces {
		p := <-result
		if errors.Is(p.err, errChanged) {
			return otherFile, p.err
		}
		if p.err != nil {
			return interrupted, p.err
		}
		if err := q.sink.write(p.block); err != nil {
			return interrupted, err
		}
		q.getter.show(q.answer, into.size)
		if took := time.Since(began); !compared && took > trial {
			compared = true
			if float64(into.size-start)/took.Seconds() < 1.2*single && into.size < q.answer.total {
				return noGain, nil
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return interrupted, err
	}
	return complete, nil
}

// pieceTries is how often a piece is asked for, each time for what is missing of it.
const pieceTries = 3

func (g *httpGetter) piece(ctx context.Context, r *ranged, from int64, into []byte) error {
	got := 0
	for try := 1; ; try++ {
		n, err := g.pieceOnce(ctx, r, from+int64(got), into[got:])
		got += n
		network := (*networkError)(nil)
		if err == nil || try == pieceTries && n == 0 || ctx.Err() != nil || !errors.As(err, &network) {
			return err
		}
		if n > 0 {
			try = 0
		}
	}
}

func (g *httpGetter) pieceOnce(ctx context.Context, r *ranged, from int64, into []byte) (int, error) {
	resp, err := g.client.open(ctx, httpRequest{method: http.MethodGet, url: r.url, from: from, to: from + int64(len(into)), validator: r.validator, apart: true})
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusPartialContent:
	case http.StatusOK, http.StatusRequestedRangeNotSatisfiable: // it is another file now, says If-Range
		return 0, errChanged
	default:
		return 0, statusOf(resp)
	}
	total, fits := continues(resp.Header.Get("Content-Range"), from)
	tag := resp.Header.Get("ETag")
	if !fits || total != r.total || strings.HasPrefix(r.validator, `"`) && tag != "" && tag != r.validator {
		return 0, errChanged
	}
	n, err := io.ReadFull(resp.Body, into)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = &networkError{fmt.Errorf("the body ended %s too early", FormatCount(len(into)-n, "byte", "bytes"))}
	}
	return n, err
}

func (c *Client) connections() int { return orDefault(c.Connections, DefaultConnections) }
