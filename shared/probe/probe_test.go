package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
	"github.com/gigurra/flycd/shared/probe"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func within(d time.Duration) *manifest.Duration { return new(manifest.Duration(d)) }

// brief is a probe that gives up soon.
func brief(url string) manifest.Probe {
	return manifest.Probe{URL: url, Within: within(300 * time.Millisecond)}
}

func answer(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

func TestRightAnswerPassesAtOnce(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(http.StatusOK, "hello world")(w, r)
	})
	for _, p := range []manifest.Probe{{URL: url}, {URL: url, Status: 200}, {URL: url, Contains: "world"}} {
		if err := probe.Ask(t.Context(), nil, p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if got := asked.Load(); got != 3 {
		t.Errorf("asked %d times, want once for each probe", got)
	}
}

func TestAskedUntilTheAnswerIsRight(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			answer(http.StatusBadGateway, "no machine yet")(w, r)
		case 2:
			answer(http.StatusOK, "old version")(w, r)
		default:
			answer(http.StatusOK, "new version")(w, r)
		}
	})
	if err := probe.Ask(t.Context(), nil, manifest.Probe{URL: url, Contains: "new version"}); err != nil {
		t.Fatal(err)
	}
	if got := asked.Load(); got != 3 {
		t.Errorf("asked %d times, want 3", got)
	}
}

func TestEachFailureHasItsSentence(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	secure := httptest.NewTLSServer(answer(http.StatusOK, ""))
	t.Cleanup(secure.Close)
	plain := serve(t, answer(http.StatusOK, "hello"))
	hang := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	loop := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path+"x", http.StatusFound) })
	hangUp := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	large := serve(t, answer(http.StatusOK, strings.Repeat("x", 1<<20)+"needle"))
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("short"))
	})
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = foreign.Close() })
	go func() {
		for {
			conn, err := foreign.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("+PONG canary-7f3a\r\n"))
			_ = conn.Close()
		}
	}()
	for _, c := range []struct {
		name string
		p    manifest.Probe
		want string
	}{
		{"no HTTP", brief("http://" + foreign.Addr().String()), "it gives no answer that is HTTP"},
		{"no such name", brief("http://no-such-name.invalid/"), "DNS"},
		{"refused", brief("http://" + closed.Addr().String()), "the connection is refused: nothing listens there"},
		{"bad certificate", brief(secure.URL), "its certificate is not good: x509"},
		{"no TLS", brief(strings.Replace(plain, "http:", "https:", 1)), "it does not speak TLS on that port"},
		{"status", manifest.Probe{URL: plain, Status: 204, Within: within(200 * time.Millisecond)}, "it answers 200, expected 204"},
		{"any good status", brief(serve(t, answer(http.StatusInternalServerError, ""))), "it answers 500, expected 200 to 399"},
		{"text", manifest.Probe{URL: plain, Contains: "bye", Within: within(200 * time.Millisecond)}, `the answer (5 bytes) does not contain "bye"`},
		{"text far down", manifest.Probe{URL: large, Contains: "needle", Within: within(200 * time.Millisecond)}, `the first megabyte of the answer does not contain "needle"`},
		{"cut", manifest.Probe{URL: cut, Contains: "needle", Within: within(200 * time.Millisecond)}, "the answer broke off after 5 bytes"},
		{"hangs", brief(hang), "it does not answer in time"},
		{"redirects for ever", brief(loop), "it redirects more than 5 times"},
		{"hangs up", brief(hangUp), "it closes the connection without an answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := probe.Ask(t.Context(), nil, c.p)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("%v repeats an answer", err)
			}
			if errors.Is(err, job.ErrRejected) {
				t.Errorf("%v is a rejection: another attempt may help", err)
			}
			if !strings.HasPrefix(err.Error(), "verify "+strings.Split(c.p.URL, "?")[0]) {
				t.Errorf("%v does not name the address first", err)
			}
		})
	}
}

func TestFiveRedirectsAreFollowed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if len(r.URL.Path) < len("/xxxxx") {
			http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
			return
		}
		answer(http.StatusOK, "arrived")(w, r)
	})
	if err := probe.Ask(t.Context(), nil, manifest.Probe{URL: url + "/", Contains: "arrived", Within: within(time.Second)}); err != nil {
		t.Fatal(err)
	}
}

func TestRedirectThatIsAskedForIsNotFollowed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.invalid/", http.StatusMovedPermanently)
	})
	if err := probe.Ask(t.Context(), nil, manifest.Probe{URL: url, Status: 301, Within: within(time.Second)}); err != nil {
		t.Fatal(err)
	}
}

func TestSecretsOfAnAddressAreNotTold(t *testing.T) {
	const canary = "canary-7f3a"
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != canary {
			t.Error("the password did not arrive")
		}
		if r.URL.Path == "/redirect" {
			http.Redirect(w, r, "http://user:"+canary+"@no-such-name.invalid/?token="+canary, http.StatusFound)
			return
		}
		answer(http.StatusForbidden, "you sent "+canary)(w, r)
	})
	base := strings.Replace(url, "http://", "http://user:"+canary+"@", 1)
	for _, address := range []string{base + "/?token=" + canary, base + "/redirect", base + "/#" + canary, "ftp://user:" + canary + "@host/", "http://user:" + canary + "@ho st/"} {
		p := brief(address)
		p.Contains = "welcome"
		err := probe.Ask(t.Context(), nil, p)
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
			t.Errorf("got %v", err)
		}
	}
}

func TestAddressThatCannotBeAskedIsRejected(t *testing.T) {
	for _, url := range []string{"", "my-app.fly.dev", "ftp://my-app.fly.dev/", "http://", "http://[::1"} {
		if err := probe.Ask(t.Context(), nil, brief(url)); !errors.Is(err, job.ErrRejected) {
			t.Errorf("%q: got %v, want a rejection", url, err)
		}
	}
}

func TestCancelledProbeGivesTheCause(t *testing.T) {
	cause := errors.New("the claim is lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel(cause)
		<-r.Context().Done()
	})
	if err := probe.Ask(ctx, nil, manifest.Probe{URL: url}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	if err := probe.All(ctx, nil, []manifest.Probe{{URL: url}}); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
}

// Probes that wait for each other pass only if they are asked at the same time.
func TestProbesAreAskedSideBySide(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		both.Done()
		both.Wait()
		answer(http.StatusOK, "")(w, r)
	})
	if err := probe.All(t.Context(), nil, []manifest.Probe{{URL: url + "/a"}, {URL: url + "/b"}}); err != nil {
		t.Fatal(err)
	}
}

func TestEveryFailedProbeIsTold(t *testing.T) {
	good, bad := serve(t, answer(http.StatusOK, "")), serve(t, answer(http.StatusTeapot, ""))
	err := probe.All(t.Context(), nil, []manifest.Probe{brief(bad + "/one"), brief(good + "/fine"), brief(bad + "/two")})
	if err == nil || !strings.Contains(err.Error(), "/one") || !strings.Contains(err.Error(), "/two") || strings.Contains(err.Error(), "/fine") {
		t.Errorf("got %v", err)
	}
	if err := probe.All(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestOneQuestionThatHangsDoesNotSpendTheTime(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
			return
		}
		answer(http.StatusOK, "")(w, r)
	})
	if err := probe.Ask(t.Context(), nil, manifest.Probe{URL: url, Within: within(3 * time.Second)}); err != nil {
		t.Fatal(err)
	}
}

func TestLastAnswerIsToldNotTheEndOfTheTime(t *testing.T) {
	var asked atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) > 1 {
			<-r.Context().Done()
		}
		answer(http.StatusServiceUnavailable, "")(w, r)
	})
	err := probe.Ask(t.Context(), nil, brief(url))
	if err == nil || !strings.Contains(err.Error(), "it answers 503") {
		t.Errorf("got %v", err)
	}
}
