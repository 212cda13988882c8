package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxBody is the largest payload that GitHub sends.
	maxBody = 25 << 20
	// smallBody is what a body may have without asking: nearly every delivery is far below. The thousand
	// requests that fly.dispatcher.toml lets in at once take 64 MB at the most.
	smallBody = 64 << 10
	// largeBodies is how many larger ones may be held at once: anybody can send one, and the
	// dispatcher has little memory.
	largeBodies = 2
	// defaultBodyWithin is how long a sender may take.
	defaultBodyWithin = 15 * time.Second
)

var (
	errTooLarge = fmt.Errorf("the body is larger than %d MB", maxBody>>20)
	errTooSlow  = errors.New("the body did not come in time")
	errBusy     = errors.New("too many large deliveries at once: send it again")
)

// bodies reads request bodies in bounded memory and time. The zero value is ready.
type bodies struct {
	buffers sync.Pool
	once    sync.Once
	large   chan struct{}
}

// read gives the whole body, which must come within the given time, and a function that takes the
// memory back: the body must not be used after that. The errors are errTooLarge, errTooSlow, errBusy, and those of the connection.
func (b *bodies) read(w http.ResponseWriter, r *http.Request, within time.Duration) (body []byte, free func(), err error) {
	if r.ContentLength > maxBody {
		return nil, nil, errTooLarge
	}
	// The answer's deadline is the server's; this one is for the sender.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(within))
	buf, _ := b.buffers.Get().(*[]byte)
	if buf == nil {
		buf = new([]byte)
	}
	free = func() { b.buffers.Put(buf) }
	if *buf, err = appendAll((*buf)[:0], io.LimitReader(r.Body, smallBody+1)); err != nil || len(*buf) <= smallBody {
		return *buf, free, late(err)
	}
	leave, err := b.enter(r.Context())
	if err != nil {
		return nil, free, err
	}
	large := append(make([]byte, 0, max(int(r.ContentLength), 2*smallBody)), *buf...)
	free()
	large, err = appendAll(large, io.LimitReader(r.Body, int64(maxBody-len(large)+1)))
	if err == nil && len(large) > maxBody {
		err = errTooLarge
	}
	return large, leave, late(err)
}

// enter waits a moment for one of the places for large bodies.
func (b *bodies) enter(ctx context.Context) (leave func(), err error) {
	b.once.Do(func() { b.large = make(chan struct{}, largeBodies) })
	timer := time.NewTimer(4 * time.Second)
	defer timer.Stop()
	select {
	case b.large <- struct{}{}:
		return func() { <-b.large }, nil
	case <-timer.C:
		return nil, errBusy
	case <-ctx.Done():
		return nil, errBusy
	}
}

// appendAll is io.ReadAll into memory that is there already.
func appendAll(b []byte, r io.Reader) ([]byte, error) {
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		n, err := r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, err
		}
	}
}

func late(err error) error {
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errTooSlow
	}
	return err
}
