package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/gigurra/flycd/shared/queue"
)

// Why an attempt ends before its job does.
var (
	errLost      = errors.New("the claim was lost: another attempt has the job")
	errCancelled = errors.New("the job was called off")
	errDeadline  = errors.New("the attempt's deadline is near")
)

// hold renews a claim for as long as it is open, and ends the attempt when the claim is gone.
type hold struct {
	queue *queue.Queue
	claim *queue.Claim
	every time.Duration
	end   context.CancelCauseFunc
	log   *slog.Logger

	mu    sync.Mutex
	until time.Time

	stop chan struct{}
	done chan struct{}
}

// open starts the goroutine that renews. ctx ends no renewal: only Close does.
func (h *hold) open(ctx context.Context) {
	h.until = h.claim.TrustedUntil
	h.stop, h.done = make(chan struct{}), make(chan struct{})
	go h.run(context.WithoutCancel(ctx))
}

// TrustedUntil is the moment up to which the claim certainly stands; the zero time when it is lost.
func (h *hold) TrustedUntil() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until
}

func (h *hold) run(ctx context.Context) {
	defer close(h.done)
	wait := h.every
	for {
		select {
		case <-h.stop:
			return
		case <-time.After(wait):
		}
		wait = h.renew(ctx)
	}
}

// renew asks once and gives the time until the next one. What fails is asked again soon: trust runs
// on from the last answer, and ends by itself.
func (h *hold) renew(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, h.every)
	defer cancel()
	held, err := h.queue.Hold(ctx, h.claim)
	if err != nil {
		h.log.WarnContext(ctx, "hold", "error", err.Error())
		if !time.Now().Before(h.TrustedUntil()) {
			h.end(errLost)
		}
		return h.every / 4
	}
	h.mu.Lock()
	h.until = held.TrustedUntil
	h.mu.Unlock()
	switch {
	case !held.Stands:
		h.end(errLost)
	case held.Cancelled:
		h.end(errCancelled)
	}
	return h.every
}

// close ends the renewals and waits for the goroutine.
func (h *hold) close() {
	close(h.stop)
	<-h.done
}
