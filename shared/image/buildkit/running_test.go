package buildkit_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/image/imagetest"
)

func TestNetworkNoneReachesNothing(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("reached")) }))
	defer web.Close()
	b := builder(t, r)
	b.Allow = append(b.Allow, netip.MustParseAddrPort(strings.TrimPrefix(web.URL, "http://")))
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"get\", \"" + web.URL + "\"]\n"})
	var log bytes.Buffer
	req.Log = &log
	mustBuild(t, b, req)
	imagetest.WantSays(t, "log", log.String(), "reached")
	req.Network, req.NoCache = "none", true
	_, err := b.Build(t.Context(), req)
	imagetest.WantRejected(t, err, "exit code 1")
}

// A step waits for the test to have read what it said.
func TestLogComesWhileTheStepRuns(t *testing.T) {
	t.Parallel()
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	log := &watched{seen: make(chan struct{}), want: "are you there"}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-log.seen:
		case <-time.After(20 * time.Second):
			w.WriteHeader(http.StatusGatewayTimeout)
		}
	}))
	defer web.Close()
	b := builder(t, r)
	b.Allow = append(b.Allow, netip.MustParseAddrPort(strings.TrimPrefix(web.URL, "http://")))
	req := asked(t, map[string]string{"Dockerfile": "FROM " + base(t, r) + "\nRUN [\"/step\", \"get\", \"" + web.URL + "\", \"are you there\"]\n"})
	req.Log = log
	mustBuild(t, b, req)
}

// watched closes seen when what is wanted was written.
type watched struct {
	mu   sync.Mutex
	once sync.Once
	seen chan struct{}
	want string
	text []byte
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	// the step's own line, not the name of the step
	if i := bytes.Index(w.text, []byte("\n#")); i >= 0 && strings.Contains(string(w.text), " "+w.want+"\n") {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

func TestClosedBuilderLeavesNothingAndStartsAnew(t *testing.T) {
	imagetest.Need(t, "buildkitd", "runc")
	r := world.Registry(t)
	b := builder(t, r)
	if err := b.Close(); err != nil {
		t.Errorf("closing what never started: %v", err)
	}
	req := asked(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "f"})
	for range 2 {
		mustBuild(t, b, req)
		for range 2 {
			if err := b.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		left, err := os.ReadDir(b.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, error %v", left, err)
		}
		if pids := processesOf(t, b.Dir); len(pids) > 0 {
			t.Errorf("processes %v go on", pids)
		}
	}
}
