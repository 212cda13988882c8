package dispatcher_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/launch"
	"github.com/gigurra/flycd/shared/queue"
	"github.com/gigurra/flycd/shared/queue/queuetest"
)

// TestFirstPushToAnEmptyRedisIsLaunched is the main way: signed bytes become a job and a machine.
func TestFirstPushToAnEmptyRedisIsLaunched(t *testing.T) {
	h := open(t, roots(t, "https://github.com/codertocat/hello-world#apps"))
	got := h.push("guid-1", payload(t, "push.branch.json"))
	if got.status != http.StatusAccepted || len(got.Jobs) != 1 || got.Jobs[0].Kind != job.Sync || got.Jobs[0].State != queue.Waiting {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	r := h.job(got.Jobs[0].ID)
	if r.State != queue.Launching || r.Attempt != 1 || r.Job.Half.Commit != "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c" || r.Job.Delivery != "guid-1" {
		t.Errorf("job %+v", r)
	}
	if got, want := h.machines(), []string{launch.Name(r.Job.ID, 1)}; !slices.Equal(got, want) {
		t.Errorf("machines %v, want %v", got, want)
	}
}

func TestPushOfAnAppsRepositoryDeploysTheApp(t *testing.T) {
	h := open(t)
	h.apps("web", "worker")
	got := h.push("guid", payload(t, "push.branch.json"))
	var apps []string
	for _, j := range got.Jobs {
		apps = append(apps, string(j.Kind)+" "+j.App)
	}
	slices.Sort(apps)
	if want := []string{"deploy web", "deploy worker"}; got.status != http.StatusAccepted || !slices.Equal(apps, want) {
		t.Errorf("got %d %s", got.status, got.text)
	}
	if n := len(h.machines()); n != 2 {
		t.Errorf("%d machines, want one per job", n)
	}
}

func TestManyAppsOfOneRepositoryBecomeOneFanOut(t *testing.T) {
	h := open(t)
	h.apps("a", "b", "c", "d", "e", "f")
	got := h.push("guid", payload(t, "push.branch.json"))
	if got.status != http.StatusAccepted || len(got.Jobs) != 1 || got.Jobs[0].Kind != job.Sync {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

// TestAnswersAreThoseOfTheDesign holds the table of DESIGN §8.
func TestAnswersAreThoseOfTheDesign(t *testing.T) {
	h := open(t, roots(t, hello))
	body := payload(t, "push.branch.json")
	for name, c := range map[string]struct {
		req    func() *http.Request
		status int
		text   string
	}{
		"a push":                {func() *http.Request { return h.signed("push", "1", body) }, 202, `"kind":"sync"`},
		"a forced push":         {func() *http.Request { return h.signed("push", "2", payload(t, "push.forced.json")) }, 202, `"kind":"sync"`},
		"a push of a tag":       {func() *http.Request { return h.signed("push", "3", payload(t, "push.tag.json")) }, 200, "no app and no config tree follows"},
		"a deleted branch":      {func() *http.Request { return h.signed("push", "4", payload(t, "push.branch-deleted.json")) }, 200, "was deleted"},
		"a deleted tag":         {func() *http.Request { return h.signed("push", "5", payload(t, "push.payload.json")) }, 200, "was deleted"},
		"another branch":        {func() *http.Request { return h.signed("push", "6", payload(t, "push.branch-created.json")) }, 200, "no app and no config tree follows"},
		"a stranger repository": {func() *http.Request { return h.signed("push", "7", payload(t, "push.gitea.json")) }, 200, "no app and no config tree follows"},
		"a ping":                {func() *http.Request { return h.signed("ping", "8", payload(t, "ping.payload.json")) }, 200, "the webhook is set up"},
		"a pull request": {func() *http.Request {
			return h.signed("pull_request", "9", payload(t, "pull_request.opened.payload.json"))
		}, 202, `"kind":"plan"`},
		"a closed pull request": {func() *http.Request {
			return h.signed("pull_request", "9a", payload(t, "pull_request.closed.payload.json"))
		}, 200, "there is nothing to plan"},
		"an unknown event": {func() *http.Request { return h.signed("galaxy", "10", []byte("{}")) }, 200, "galaxy"},
		"a form": {func() *http.Request {
			req := h.signed("push", "11", []byte(url.Values{"payload": {string(body)}}.Encode()))
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return req
		}, 202, `"kind":"sync"`},
		"no JSON":    {func() *http.Request { return h.signed("push", "12", []byte("hello")) }, 400, "no JSON object"},
		"no event":   {func() *http.Request { return h.signed("", "13", body) }, 400, "X-GitHub-Event"},
		"an ugly id": {func() *http.Request { return h.signed("push", "a b", body) }, 400, "X-GitHub-Delivery"},
		"plain text": {func() *http.Request {
			r := h.signed("push", "14", body)
			r.Header.Set("Content-Type", "text/plain")
			return r
		}, 415, "application/json"},
		"too large":   {func() *http.Request { return h.signed("push", "15", make([]byte, 25<<20+1)) }, 413, "25 MB"},
		"a GET":       {func() *http.Request { r := h.signed("push", "16", body); r.Method = http.MethodGet; return r }, 405, "POST"},
		"elsewhere":   {func() *http.Request { r := h.signed("push", "17", body); r.URL.Path = "/other"; return r }, 404, "/webhook"},
		"no delivery": {func() *http.Request { r := h.signed("push", "", body); r.Header.Del("X-GitHub-Delivery"); return r }, 202, `"kind":"sync"`},
		"unsigned":    {func() *http.Request { r := h.signed("push", "18", body); r.Header.Del("X-Hub-Signature-256"); return r }, 401, "not signed"},
	} {
		got := h.send(c.req())
		if got.status != c.status || !strings.Contains(got.text, c.text) {
			t.Errorf("%s: got %d %s, want %d and %q", name, got.status, got.text, c.status, c.text)
		}
		if got.status < 300 && !strings.Contains(got.text, `"jobs":[`) {
			t.Errorf("%s: the answer has no list of jobs: %s", name, got.text)
		}
	}
}

func TestForgedIsRefusedAndTouchesNothing(t *testing.T) {
	h := open(t, roots(t, hello))
	body := payload(t, "push.branch.json")
	for name, change := range map[string]func(*http.Request){
		"unsigned": func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") },
		"signed for another": func(r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader(append(slices.Clone(body[:len(body)-1]), ' ', '}')))
			r.ContentLength++
		},
		"signed by another":     func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", signWith("other", body)) },
		"SHA-1 only":            func(r *http.Request) { r.Header.Del("X-Hub-Signature-256"); r.Header.Set("X-Hub-Signature", "sha1=00") },
		"ugly and unsigned":     func(r *http.Request) { r.Header.Del("X-Hub-Signature-256"); r.Header.Set("Content-Type", ";") },
		"signed with the empty": func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", signWith("", body)) },
	} {
		req := h.signed("push", "guid", body)
		change(req)
		if got := h.send(req); got.status != http.StatusUnauthorized {
			t.Errorf("%s: got %d %s", name, got.status, got.text)
		}
	}
	h.nothingHappened()
}

func signWith(key string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestEitherSecretIsTakenWhileOneIsReplaced(t *testing.T) {
	h := open(t, roots(t, hello), func(h *house) { h.d.Secrets = []string{"new", secret} })
	body := payload(t, "push.branch.json")
	for _, key := range []string{"new", secret} {
		req := h.signed("push", "guid-"+key[:3], body)
		req.Header.Set("X-Hub-Signature-256", signWith(key, body))
		if got := h.send(req); got.status != http.StatusAccepted {
			t.Errorf("signed with %s: %d %s", key, got.status, got.text)
		}
	}
}

func TestReplayGivesTheSameAnswerAndDoesNothingTwice(t *testing.T) {
	h := open(t, roots(t, hello))
	first := h.push("guid", payload(t, "push.branch.json"))
	again := h.push("guid", payload(t, "push.branch.json"))
	if again.status != first.status || again.text != first.text {
		t.Errorf("got %d %s, want %d %s", again.status, again.text, first.status, first.text)
	}
	if n := len(h.machines()); n != 1 {
		t.Errorf("%d machines, want one", n)
	}
}

func TestOnePushThroughTwoHooksIsOneJob(t *testing.T) {
	h := open(t, roots(t, hello))
	h.oneJob(h.push("guid-1", payload(t, "push.branch.json")), h.push("guid-2", payload(t, "push.branch.json")))
}

// TestRedeliveryWorksOnceTheAppIsKnown holds that an ignored delivery is not remembered as such.
func TestRedeliveryWorksOnceTheAppIsKnown(t *testing.T) {
	h := open(t)
	if got := h.push("guid", payload(t, "push.branch.json")); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	h.apps("web")
	if got := h.push("guid", payload(t, "push.branch.json")); got.status != http.StatusAccepted {
		t.Errorf("got %d %s", got.status, got.text)
	}
}

func TestWithoutRedisNothingIsAccepted(t *testing.T) {
	h := open(t, roots(t, hello), at("redis://127.0.0.1:1"))
	got := h.push("guid", payload(t, "push.branch.json"))
	if got.status != http.StatusServiceUnavailable || strings.Contains(got.text, "127.0.0.1") {
		t.Errorf("got %d %s", got.status, got.text)
	}
	if got.took > 5*time.Second {
		t.Errorf("answered after %v", got.took)
	}
	// What needs no queue is answered all the same.
	if got := h.send(h.signed("ping", "2", payload(t, "ping.payload.json"))); got.status != http.StatusOK {
		t.Errorf("ping: %d %s", got.status, got.text)
	}
}

func TestSilentRedisIsAnsweredInTime(t *testing.T) {
	h := open(t, roots(t, hello), at("redis://"+silent(t)))
	got := h.push("guid", payload(t, "push.branch.json"))
	if got.status != http.StatusServiceUnavailable || got.took > 5*time.Second {
		t.Errorf("got %d %s after %v", got.status, got.text, got.took)
	}
}

func TestSlowSenderIsCutOff(t *testing.T) {
	h := open(t, func(h *house) { h.d.BodyWithin = 100 * time.Millisecond })
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	req := h.signed("push", "guid", nil)
	req.Body, req.ContentLength = r, -1
	// Half a chunk that is never finished: the sender holds nothing but its own connection.
	go func() { _, _ = w.Write([]byte("{")) }()
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusRequestTimeout {
				err = fmt.Errorf("answered %s", resp.Status)
			}
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "reset") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("still waiting")
	}
}

func TestLargeBodyIsRead(t *testing.T) {
	h := open(t, roots(t, hello))
	body := payload(t, "push.branch.json")
	// Padding inside the object, so that it stays one push.
	body = append(append(slices.Clone(body[:len(body)-2]), bytes.Repeat([]byte(" "), 20<<20)...), '}')
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			if got := h.push(fmt.Sprintf("guid-%d", i), body); got.status != http.StatusAccepted {
				t.Errorf("got %d %s", got.status, got.text)
			}
		})
	}
	wg.Wait()
}

// TestCommandsStayWithinTheBudget counts what is sent to Redis for the push that costs most.
func TestCommandsStayWithinTheBudget(t *testing.T) {
	redis := queuetest.Redis(t)
	count := counting(t, redis)
	h := open(t, roots(t, hello), at("redis://"+count.addr))
	h.apps("a", "b", "c", "d", "e")
	// The first push loads the scripts.
	h.push("guid-0", branchPush(t, 1))
	for _, r := range h.active() {
		h.finish(r)
	}
	before := count.commands.Load()
	got := h.push("guid-1", branchPush(t, 2))
	if len(got.Jobs) != 6 {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	if n := count.commands.Load() - before; n > 10 {
		t.Errorf("%d commands, want at most 10", n)
	}
}
