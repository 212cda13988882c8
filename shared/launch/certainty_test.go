package launch_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/launch"
)

// TestCertaintyIsTold holds ErrNothingMade to what is certain: a caller gives an attempt back on it.
func TestCertaintyIsTold(t *testing.T) {
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + refusing.Addr().String()
	_ = refusing.Close()
	for name, c := range map[string]struct {
		method, do  string
		repeat      bool
		change      func(*launch.Launcher)
		nothingMade bool
	}{
		"create is refused":               {method: "POST", do: `{"status":422,"body":{"error":"invalid config"}}`, nothingMade: true},
		"token is refused":                {change: func(l *launch.Launcher) { l.Token = "other" }, nothingMade: true},
		"app is missing":                  {change: func(l *launch.Launcher) { l.App = "missing" }, nothingMade: true},
		"size is wrong":                   {change: func(l *launch.Launcher) { l.Size = "huge" }, nothingMade: true},
		"nobody listens":                  {change: func(l *launch.Launcher) { l.BaseURL = nobody }, nothingMade: true},
		"always over the rate":            {method: "POST", do: `{"status":429,"repeat":1000}`, nothingMade: true},
		"no capacity":                     {method: "POST", do: `{"status":412,"body":{"error":"insufficient resources"},"repeat":1000}`, nothingMade: true},
		"looking never works":             {method: "GET", do: `{"status":500,"repeat":1000}`, nothingMade: true},
		"create always times out":         {method: "POST", do: `{"status":408,"repeat":1000}`},
		"create always breaks":            {method: "POST", do: `{"drop":"before","repeat":1000}`},
		"create always fails with a 503":  {method: "POST", do: `{"status":503,"repeat":1000}`},
		"create says something strange":   {method: "POST", do: `{"status":200,"body":"hello","repeat":1000}`},
		"create answers without a name":   {method: "POST", do: `{"status":200,"body":{"id":"1"},"repeat":1000}`},
		"create conflicts with a phantom": {method: "POST", do: `{"status":409,"body":{"error":"already exists"},"repeat":1000}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFly(t)
			if c.method != "" {
				f.faults(c.method, 0, c.do)
			}
			l := f.launcher()
			if c.change != nil {
				c.change(l)
			}
			_, err := l.Launch(within(t, 700*time.Millisecond), runner())
			if err == nil {
				t.Fatal("launched")
			}
			if got := errors.Is(err, launch.ErrNothingMade); got != c.nothingMade {
				t.Errorf("nothing made: got %t, want %t: %v", got, c.nothingMade, err)
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	var posts, early atomic.Int64
	var allowed atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `[]`)
		case posts.Add(1) == 1:
			allowed.Store(time.Now().Add(time.Second).UnixNano())
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			if time.Now().UnixNano() < allowed.Load() {
				early.Add(1)
			}
			fmt.Fprintf(w, `{"id":"148e123456789a","name":%q,"state":"created"}`, launch.Name(theID, 1))
		}
	}))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token}
	if _, err := l.Launch(within(t, 10*time.Second), runner()); err != nil {
		t.Fatal(err)
	}
	if posts.Load() != 2 || early.Load() != 0 {
		t.Errorf("%d creations, %d of them too early", posts.Load(), early.Load())
	}
}

func TestLongRetryAfterEndsTheLaunchAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			fmt.Fprint(w, `[]`)
			return
		}
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token}
	ctx := within(t, time.Minute)
	if _, err := l.Launch(ctx, runner()); !errors.Is(err, launch.ErrNothingMade) {
		t.Errorf("got %v", err)
	}
	if ctx.Err() != nil {
		t.Error("it waited for nothing")
	}
}

func TestHangingCreateIsLookedAfter(t *testing.T) {
	f := newFly(t)
	// The machine is made and the answer is cut off after a while that outlasts the first round.
	f.faults(http.MethodPost, 1, `{"delay_ms":20000,"after":true}`)
	ctx := within(t, 3*time.Second)
	m, err := f.launcher().Launch(ctx, runner())
	if err != nil {
		t.Fatal(err)
	}
	if got := f.names(); len(got) != 1 || m.Name != got[0] {
		t.Errorf("machines %v, want %s alone", got, m.Name)
	}
}
