package launch_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/launch"
)

func TestListHoldsRunnersOnly(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	if _, err := l.Launch(within(t, 5*time.Second), runner()); err != nil {
		t.Fatal(err)
	}
	f.send(http.MethodPost, "/v1/apps/runners/machines", `{"name":"dispatcher","config":{"image":"dispatcher:1"}}`)
	list, err := l.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Job != theID {
		t.Errorf("got %+v, %v, want the runner alone", list, err)
	}
}

func TestPartialListIsAnError(t *testing.T) {
	for _, body := range []string{``, `null`, `{}`, `{"machines":[]}`, `[{"id":"1"`, `"[]"`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		l := &launch.Launcher{App: "runners", BaseURL: server.URL}
		if list, err := l.List(t.Context()); err == nil {
			t.Errorf("%q passes for the list %v", body, list)
		}
		server.Close()
	}
}

func TestEndDestroysAndIsSafeToRepeat(t *testing.T) {
	f := newFly(t)
	l := f.launcher()
	m, err := l.Launch(within(t, 5*time.Second), runner())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.End(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := l.List(t.Context()); err != nil || len(list) > 0 && !list[0].Gone() {
		t.Errorf("still there: %+v, %v", list, err)
	}
	if err := l.End(t.Context(), launch.Machine{ID: "none"}); err != nil {
		t.Error(err)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	f := newFly(t)
	if err := f.launcher().Check(t.Context()); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*launch.Launcher){
		"FLY_API_TOKEN":         func(l *launch.Launcher) { l.Token = "other" },
		"missing":               func(l *launch.Launcher) { l.App = "missing" },
		"image":                 func(l *launch.Launcher) { l.Image = "" },
		"shared-cpu-1x":         func(l *launch.Launcher) { l.Size = "big" },
		"FLYCD_GRANT_URL":       func(l *launch.Launcher) { l.Mint = "fm2_AAAA" },
		"fly tokens create org": func(l *launch.Launcher) { l.Mint, l.GrantURL = "fo1_own", "https://d.example/grant" },
	} {
		l := f.launcher()
		change(l)
		if err := l.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want a word about %s", err, want)
		}
	}
	if got := f.creates.Load(); got != 0 {
		t.Errorf("checking made %d machines", got)
	}
}

func TestTokenFollowsNoRedirect(t *testing.T) {
	var leaked atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("Authorization") != "")
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	l := &launch.Launcher{App: "runners", Image: "runner:1", BaseURL: server.URL, Token: token, HTTP: launch.NewHTTP()}
	if err := l.Check(t.Context()); err == nil {
		t.Error("a redirect passes for an answer")
	}
	if leaked.Load() {
		t.Error("the token went to another host")
	}
}
