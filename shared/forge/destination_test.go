package forge

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/job"
)

// Broken when: a destination's address is told by the error about it, or is taken without TLS.
func TestDestinationsAreReadAndNeverTold(t *testing.T) {
	list, err := ParseDestinations("ops=slack+https://hooks.slack.example/services/T1/B2/hunter2,\n ci=https://ci.example/hook?t=1#s3cret\n\nlocal=http://localhost:80/x")
	if err != nil || len(list) != 3 || !list["ops"].Slack || list["ops"].URL != "https://hooks.slack.example/services/T1/B2/hunter2" ||
		list["ci"] != (Destination{URL: "https://ci.example/hook?t=1", Secret: "s3cret"}) {
		t.Errorf("they are %v, %v", list, err)
	}
	inJSON, err := json.Marshal(list)
	if err != nil {
		t.Error(err)
	}
	for _, text := range []string{fmt.Sprint(list), fmt.Sprintf("%+v %#v", list, list["ci"]), string(inJSON)} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "s3cret") || strings.Contains(text, "example") {
			t.Errorf("they are shown as %s", text)
		}
	}
	for _, bad := range []string{
		"https://hunter2.example", "a=http://hunter2.example/", "a=hunter2", "A B=https://hunter2.example", "a=ftp://hunter2.example", "a=https://",
		"a=https://x.example,a=https://hunter2.example", "=https://hunter2.example", "a=slack+https://x.example/hunter2#secret", "a=https://hunter2.example:port/",
		"a=slack+hunter2", "a=https:hunter2",
	} {
		if got, err := ParseDestinations(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q is %v, %v", bad, got, err)
		}
	}
}

// box takes notices in.
type box struct {
	*httptest.Server
	bodies  [][]byte
	headers []http.Header
	answer  func(w http.ResponseWriter, r *http.Request)
}

func newBox(t *testing.T) *box {
	t.Helper()
	b := &box{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.bodies, b.headers = append(b.bodies, body), append(b.headers, r.Header)
		if b.answer != nil {
			b.answer(w, r)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *box) allowed() []netip.AddrPort {
	return []netip.AddrPort{netip.MustParseAddrPort(b.Listener.Addr().String())}
}

func failedNotice() Notice {
	return Notice{ID: "1-0.notice", Job: "abc", Kind: job.Deploy, App: "web", Outcome: job.Failed, Detail: "it <broke>", Ended: time.UnixMilli(1000).UTC()}
}

// Broken when: a receiver cannot tell that a notice is ours, or that it had it before.
func TestNoticeIsSignedAndNumbered(t *testing.T) {
	b := newBox(t)
	d := Destination{URL: b.URL + "/x", Secret: "s3cret"}
	for range 2 {
		if err := d.post(t.Context(), guarded(b.allowed()), failedNotice()); err != nil {
			t.Fatal(err)
		}
	}
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(b.bodies[0])
	var n Notice
	if err := json.Unmarshal(b.bodies[0], &n); err != nil || n != failedNotice() {
		t.Errorf("it is %s, %v", b.bodies[0], err)
	}
	if got := b.headers[0].Get(SignatureHeader); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
		t.Errorf("it is signed %q", got)
	}
	if b.headers[0].Get(DeliveryHeader) != "1-0.notice" || b.headers[1].Get(DeliveryHeader) != "1-0.notice" || !bytes.Equal(b.bodies[0], b.bodies[1]) {
		t.Errorf("the deliveries are %v", b.headers)
	}
}

// Broken when: a chat gets something else than it takes, or what a person wrote is obeyed there.
func TestChatGetsWordsAlone(t *testing.T) {
	b := newBox(t)
	d := Destination{URL: b.URL, Slack: true}
	for _, s := range hostile() {
		n := failedNotice()
		n.App, n.Detail, n.Actor, n.Image = s, s, s, s
		n.URL, n.Link = "https://web.fly.dev/|<!channel>", "javascript:x"
		if err := d.post(t.Context(), guarded(b.allowed()), n); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(b.bodies[len(b.bodies)-1], &got); err != nil || got["link_names"] != false || got["unfurl_links"] != false {
			t.Fatalf("it is %s", b.bodies[len(b.bodies)-1])
		}
		text, _ := got["text"].(string)
		name, rest, _ := strings.Cut(strings.TrimPrefix(text, "*"), "* failed")
		detail := strings.TrimSuffix(strings.TrimPrefix(rest, "\n```\n"), "\n```")
		if why := inert(name, false) + inert(detail, true); why != "" {
			t.Errorf("%q becomes %q, with %s", s, text, why)
		}
	}
}

// Broken when: what a notice is sent to is inside our own network, by its number, by a name, or by a redirect.
func TestNothingPrivateIsSentTo(t *testing.T) {
	b := newBox(t)
	port := b.URL[strings.LastIndex(b.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "[fdaa::3]", "[fe80::1]", "2130706433", "0177.0.0.1"} {
		err := Destination{URL: "http://" + host + port + "/hunter2"}.post(t.Context(), guarded(nil), failedNotice())
		if err == nil || errors.Is(err, job.ErrRejected) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), host) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if len(b.bodies) != 0 {
		t.Fatalf("%d were sent", len(b.bodies))
	}
	for _, code := range []int{301, 302, 303, 307, 308} {
		private := newBox(t)
		b.answer = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, private.URL+"/hunter2", code) }
		err := Destination{URL: b.URL}.post(t.Context(), guarded(b.allowed()), failedNotice())
		if !errors.Is(err, job.ErrRejected) || strings.Contains(err.Error(), "hunter2") || len(private.bodies) != 0 {
			t.Errorf("a redirect by %d: %v, and it was sent %d", code, err, len(private.bodies))
		}
	}
	// an allowed address is one with its port
	other := newBox(t)
	if err := (Destination{URL: other.URL}).post(t.Context(), guarded(b.allowed()), failedNotice()); err == nil {
		t.Error("another port of an allowed address was sent to")
	}
}

// Broken when: an error of a destination holds its address, its token, or what it answered.
func TestErrorsOfADestinationHoldNothingOfIt(t *testing.T) {
	b := newBox(t)
	secret := url.PathEscape("T0/hunter2")
	tried := func(name, address string) error {
		t.Helper()
		err := Destination{URL: address, Secret: "s3cret"}.post(t.Context(), guarded(b.allowed()), failedNotice())
		if err == nil {
			t.Errorf("%s: want an error", name)
			return nil
		}
		host, _, _ := strings.Cut(strings.TrimPrefix(address[strings.Index(address, "://")+3:], "//"), "/")
		for _, told := range []string{"hunter2", "s3cret", host, "127.0.0.1"} {
			if strings.Contains(err.Error(), told) {
				t.Errorf("%s: %v", name, err)
			}
		}
		return err
	}
	for code, law := range map[int]struct{ final, denied bool }{
		400: {final: true}, 401: {denied: true}, 403: {denied: true}, 404: {}, 410: {final: true}, 413: {final: true}, 429: {}, 500: {}, 503: {},
	} {
		b.answer = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "90")
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, "no such hook: ", r.URL)
		}
		err := tried(fmt.Sprint(code), b.URL+"/"+secret)
		var f *Failure
		if !errors.As(err, &f) || errors.Is(err, job.ErrRejected) != law.final || errors.Is(err, ErrDenied) != law.denied || f.After != 90*time.Second {
			t.Errorf("%d: %+v", code, f)
		}
	}
	b.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	_ = tried("cut off", b.URL+"/"+secret)
	_ = tried("no TLS", strings.Replace(b.URL, "http:", "https:", 1)+"/"+secret)
	_ = tried("unknown host", "https://hunter2.invalid/"+secret)
	b.Close()
	_ = tried("refused", b.URL+"/"+secret)
	_ = tried("no address", "http://[::1%25hunter2]:x/")
}

// Broken when: a setting makes the program panic, or an error tells what was set.
func FuzzParseDestinations(f *testing.F) {
	f.Add("a=https://x.example#y,b=slack+https://z.example")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseDestinations(s)
		for name, d := range list {
			if u, perr := url.Parse(d.URL); !plainDestination(name) || perr != nil || u.Host == "" {
				t.Errorf("%q holds %q", s, name)
			}
		}
		if err != nil && len(list) > 0 {
			t.Errorf("%q is both", s)
		}
	})
}
