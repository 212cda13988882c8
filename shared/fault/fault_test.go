package fault_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gigurra/flycd/shared/fault"
)

func newList(t *testing.T, list string) *fault.List {
	t.Helper()
	faults, err := fault.Parse([]byte(list))
	if err != nil {
		t.Fatal(err)
	}
	l := fault.New(7, func(text string) any { return map[string]string{"error": text} }, make(chan struct{}))
	if err := l.Set(faults...); err != nil {
		t.Fatal(err)
	}
	return l
}

// asked sends a request through the list. It gives how often it took effect, and what was answered.
func asked(l *fault.List, method, address, body string) (done int, said string) {
	r := httptest.NewRequest(method, address, http.NoBody)
	out, w := fault.Hold(), httptest.NewRecorder()
	cut := l.Serve(out, fault.Of(r, []byte(body)), func() {
		done++
		_, _ = out.Write([]byte("done"))
	})
	if cut {
		return done, "cut"
	}
	out.Leave(w)
	return done, fmt.Sprint(w.Code, " ", w.Body, " ", w.Header().Get("Retry-After"))
}

func TestFaultDoesWhatItSays(t *testing.T) {
	for do, want := range map[string]string{
		`{"status":503}`:                              `0 503 {"error":"Service Unavailable"} `,
		`{"status":503,"after":true}`:                 `1 503 {"error":"Service Unavailable"} `,
		`{"status":429}`:                              `0 429 {"error":"Too Many Requests"} 1`,
		`{"status":429,"header":{"Retry-After":"9"}}`: `0 429 {"error":"Too Many Requests"} 9`,
		`{"status":500,"body":"no JSON"}`:             `0 500 no JSON `,
		`{"status":400,"body":{"a":1}}`:               `0 400 {"a":1} `,
		`{"drop":"before"}`:                           `0 cut`,
		`{"drop":"after"}`:                            `1 cut`,
		`{"delay_ms":1}`:                              `1 200 done `,
		`{"delay_ms":1,"status":504,"after":true}`:    `1 504 {"error":"Gateway Timeout"} `,
	} {
		l := newList(t, `[{"match":{},"do":`+do+`}]`)
		done, said := asked(l, "GET", "/a", "")
		if got := fmt.Sprint(done, " ", said); got != want {
			t.Errorf("%s: %q, want %q", do, got, want)
		}
		if _, said := asked(l, "GET", "/a", ""); said != "200 done " {
			t.Errorf("%s: the second request got %s", do, said)
		}
	}
}

func TestFaultHitsWhatItMatches(t *testing.T) {
	for match, want := range map[string]string{
		`{}`:                                 "1-- ---",
		`{"method":"post"}`:                  "--1 ---",
		`{"path":"/b"}`:                      "-1- ---",
		`{"path":"/*x=1"}`:                   "--- -1-",
		`{"path":"*"}`:                       "1-- ---",
		`{"body":"mutation"}`:                "--1 ---",
		`{"nth":3}`:                          "--1 ---",
		`{"path":"/a*","nth":2}`:             "--1 ---",
		`{"method":"DELETE"}`:                "--- ---",
		`{"method":"HOOK"}`:                  "--- ---",
		`{"path":"/a","method":"POST"}`:      "--1 ---",
		`{"path":"/a/*/c"}`:                  "--- --1",
		`{"path":"/a/*/d"}`:                  "--- ---",
		`{"path":"/b","body":"mutation"}`:    "--- ---",
		`{"path":"/a","body":"a mutation!"}`: "--1 ---",
	} {
		l := newList(t, `[{"match":`+match+`,"do":{"status":503}}]`)
		var got strings.Builder
		for i, r := range [][3]string{
			{"GET", "/a"}, {"GET", "/b"}, {"POST", "/a", "a mutation!"}, {"GET", "/c"}, {"GET", "/c?x=1"}, {"GET", "/a/b/c"},
		} {
			if i == 3 {
				got.WriteString(" ")
			}
			if done, _ := asked(l, r[0], r[1], r[2]); done == 0 {
				got.WriteString("1")
			} else {
				got.WriteString("-")
			}
		}
		if got.String() != want {
			t.Errorf("%s hits %s, want %s", match, &got, want)
		}
	}
}

func TestDeliveryIsHitByItsNameAlone(t *testing.T) {
	hook := fault.Request{Method: fault.Hook, Path: "/acme/web/push", URI: "/acme/web/push"}
	if _, hit := newList(t, `[{"match":{"path":"*"},"do":{"status":500}}]`).Strike(hook); hit {
		t.Error("a fault of requests hits a delivery")
	}
	l := newList(t, `[{"match":{"method":"hook","path":"/acme/*/push"},"do":{"status":500,"repeat":-1}}]`)
	for range 3 {
		if do, hit := l.Strike(hook); !hit || do.Status != 500 {
			t.Error("a fault of deliveries hits none")
		}
	}
	if s := l.States(); len(s) != 1 || s[0].Seen != 3 || s[0].Hits != 3 {
		t.Errorf("states %+v", s)
	}
}

func TestChancesRepeat(t *testing.T) {
	var runs []string
	for range 2 {
		l := newList(t, `[{"match":{"probability":0.5},"do":{"status":503}}]`)
		run := ""
		for range 64 {
			done, _ := asked(l, "GET", "/a", "")
			run += fmt.Sprint(done)
		}
		runs = append(runs, run)
	}
	if n := strings.Count(runs[0], "0"); runs[0] != runs[1] || n < 16 || n > 48 {
		t.Errorf("%d of 64 are hit:\n%s\n%s", n, runs[0], runs[1])
	}
}

func TestFaultsWithoutMeaningAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                                    "read faults",
		`[{"match":{},"do":{"staus":500}}]`:                     "staus",
		`[] []`:                                                 "something after",
		`[{"match":{},"do":{}}]`:                                "does nothing",
		`[{"match":{},"do":{"status":99}}]`:                     "status 99",
		`[{"match":{},"do":{"drop":"now"}}]`:                    "drop",
		`[{"match":{},"do":{"body":"x"}}]`:                      "needs a status",
		`[{"match":{},"do":{"delay_ms":-1}}]`:                   "delay_ms",
		`[{"match":{"nth":-1},"do":{"status":500}}]`:            "nth",
		`[{"match":{"probability":2},"do":{"status":500}}]`:     "probability",
		`[{"match":{},"do":{"status":500,"repeat":-2}}]`:        "repeat",
		`[{"match":{},"do":{"status":500,"drop":"before"}}]`:    "exclude",
		`[{"match":{},"do":{"header":{"a":"b"},"delay_ms":1}}]`: "needs a status",
	} {
		if _, err := fault.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want one with %q", text, err, want)
		}
	}
}
