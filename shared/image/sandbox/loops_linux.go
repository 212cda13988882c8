package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/vishvananda/netns"
)

// maxLoops is how many connections to the machine's loopback one sandbox may have at once.
const maxLoops = 64

// loops carry connections from the sandbox's loopback to the same address of the machine's own, for what is allowed
// there: a registry that listens on 127.0.0.1 is found inside as well.
type loops struct {
	listeners []net.Listener
	cancel    context.CancelFunc
	free      chan struct{}
	running   sync.WaitGroup
}

// listenLoops listens inside the network of the process pid for every loopback address of allow.
func listenLoops(pid int, allow []netip.AddrPort) (*loops, error) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &loops{cancel: cancel, free: make(chan struct{}, maxLoops)}
	for _, a := range allow {
		if !a.Addr().IsLoopback() {
			continue
		}
		listener, err := listenInside(pid, a)
		if err != nil {
			return l, err
		}
		l.listeners = append(l.listeners, listener)
		l.running.Go(func() { l.accept(ctx, listener, a) })
	}
	return l, nil
}

// listenInside makes a listener in the network of the process pid.
func listenInside(pid int, at netip.AddrPort) (net.Listener, error) {
	type answer struct {
		net.Listener
		error
	}
	answers := make(chan answer)
	go func() {
		// never unlocked: the thread is in the sandbox's network and ends with this function
		runtime.LockOSThread()
		ns, err := netns.GetFromPid(pid)
		if err != nil {
			answers <- answer{error: fmt.Errorf("find network namespace: %w", err)}
			return
		}
		defer ns.Close() //nolint:errcheck // read only
		if err := netns.Set(ns); err != nil {
			answers <- answer{error: fmt.Errorf("enter network namespace: %w", err)}
			return
		}
		listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp4", at.String())
		answers <- answer{listener, err}
	}()
	got := <-answers
	if got.error != nil {
		return nil, fmt.Errorf("listen on %s inside: %w", at, got.error)
	}
	return got.Listener, nil
}

func (l *loops) accept(ctx context.Context, from net.Listener, to netip.AddrPort) {
	for {
		conn, err := from.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			// out of file descriptors, mostly: what holds them ends
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Millisecond):
				continue
			}
		}
		select {
		case l.free <- struct{}{}:
			l.running.Go(func() {
				defer func() { <-l.free }()
				carry(ctx, conn, to)
			})
		default:
			_ = conn.Close()
		}
	}
}

// carry copies both ways until both sides are done or ctx ends.
func carry(ctx context.Context, inside net.Conn, to netip.AddrPort) {
	defer inside.Close() //nolint:errcheck // both ends have said all
	outside, err := new(net.Dialer).DialContext(ctx, "tcp4", to.String())
	if err != nil {
		return
	}
	defer outside.Close() //nolint:errcheck // both ends have said all
	stop := context.AfterFunc(ctx, func() { _, _ = inside.Close(), outside.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pour(outside, inside) })
	both.Go(func() { pour(inside, outside) })
	both.Wait()
}

func pour(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

func (l *loops) close() error {
	if l == nil {
		return nil
	}
	l.cancel()
	var errs []error
	for _, listener := range l.listeners {
		errs = append(errs, listener.Close())
	}
	l.running.Wait()
	return errors.Join(errs...)
}
