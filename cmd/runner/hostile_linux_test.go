package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gigurra/flycd/shared/deploy/deploytest"
	"github.com/gigurra/flycd/shared/image/imagetest"
	"github.com/gigurra/flycd/shared/job"
)

// A step hunts in all processes and files that it sees for the values of the runner's settings, for a file of the machine and for
// the code of another job that is being built.
func TestStepsSeeNothingOfTheRunnerOrOfAnotherJob(t *testing.T) {
	b := newBuilds(t)
	canaries := map[string]string{"FLY_API_TOKEN": deploytest.Token, "REDIS_URL": b.redis}
	var vars []string
	for _, name := range []string{"FLYCD_NEXT_TOKEN", "FLYCD_DIGEST_KEY", "FLYCD_PGP_PASSPHRASE", "APP_SECRET"} {
		canaries[name] = canary(t, name)
		vars = append(vars, name+"="+canaries[name])
	}
	for _, name := range []string{"FLYCD_REGISTRY_LOGINS", "FLYCD_GIT_TOKENS"} {
		canaries[name] = canary(t, name)
		vars = append(vars, name+"=example.com=u:"+canaries[name])
	}
	for _, name := range []string{"the other job's code", "the machine's file"} {
		canaries[name] = canary(t, name)
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "file"), []byte(canaries["the machine's file"]), 0o644); err != nil {
		t.Fatal(err)
	}
	victim := b.Repo("victim")
	victim.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nCOPY code /code\nRUN " + b.door.hold("victim") + "\n", "code": canaries["the other job's code"]})
	b.commitOf(victim, map[string]string{"victim": ""})
	other := b.start(b.launch("victim"), vars...)
	b.door.await("victim")

	var needles, names []string
	for name, value := range canaries {
		needles, names = append(needles, hex.EncodeToString([]byte(value))), append(names, name)
	}
	dirs := home + " " + other.temp
	b.code.Commit(map[string]string{
		"needles": strings.Join(needles, "\n"),
		"Dockerfile": "FROM " + b.base + " AS hunt\nCOPY needles /needles\n" +
			"RUN --mount=type=bind,source=/,target=/context --mount=type=cache,target=/cache --mount=type=tmpfs,target=/mnt probe hunt /needles / " + dirs + " > /found\n" +
			"RUN " + b.door.hold("hunter") + "\nFROM scratch\nCOPY --from=hunt /found /\n",
	})
	b.commit(map[string]string{"hunter": ""})
	launch := b.launch("hunter")
	hunter := b.start(launch, vars...)
	b.door.await("hunter")
	seen := control(t, "hunt", strings.Join(needles, "\n"), home, other.temp)
	b.door.open("hunter")
	hunter.wait()
	res := b.record(launch)
	if res.Result.Outcome != job.Created {
		t.Fatalf("%s: %s", res.Result.Outcome, hunter.said)
	}
	found := imagetest.Files(t, res.Result.Image)["found"]
	if !strings.Contains(found, "looked at") || strings.Contains(found, "looked at 0 files") {
		t.Errorf("the step did not look: %s", found)
	}
	for i, name := range names {
		needle := fmt.Sprintf("found %d in ", i)
		if strings.Contains(found, needle) {
			t.Errorf("a step sees %s:\n%s", name, found)
		}
		if !strings.Contains(seen, needle) {
			t.Errorf("the hunt does not find %s where it is:\n%s", name, seen)
		}
	}
	b.door.open("victim")
	other.wait()
}

func TestStepsReachNothingOfTheMachineOrOfAnotherJob(t *testing.T) {
	b := newBuilds(t)
	own, calls := ownAddress(t), &atomic.Int32{}
	port := func(a net.Addr) string { return fmt.Sprint(a.(*net.TCPAddr).Port) }
	everywhere := port(listen(t, "tcp4", "0.0.0.0:0", calls))
	socket := filepath.Join(os.TempDir(), "api") // as Fly's is at /.fly/api
	abstract := fmt.Sprintf("@flycd-test-%d", os.Getpid())
	outside := []string{
		"tcp " + strings.TrimPrefix(b.redis, "redis://"), "tcp " + strings.TrimPrefix(b.FlyURL, "http://"), "tcp " + strings.TrimPrefix(b.GitURL, "http://"),
		"tcp " + listen(t, "tcp4", "127.0.0.1:0", calls).String(), "tcp 127.0.0.1:" + everywhere, "tcp " + own + ":" + everywhere,
		"unix " + listen(t, "unix", socket, calls).String(), "unix " + listen(t, "unix", abstract, calls).String(),
	}
	if l, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		_ = l.Close()
		outside = append(outside, "tcp "+listen(t, "tcp6", "[::1]:0", calls).String())
	}
	reached := func(said, address string) bool { return strings.Contains(said, "reached "+address+"\n") }
	seen := control(t, "dial", strings.Join(outside, "\n"))
	for _, a := range outside {
		if !reached(seen, a) {
			t.Fatalf("%s is not even reached from outside:\n%s", a, seen)
		}
	}

	victim := b.Repo("victim")
	victim.Commit(map[string]string{"Dockerfile": "FROM " + b.base + "\nRUN probe listen 7777 > /at & while ! grep -q : /at; do sleep 0.1; done; wget -q -O /dev/null --post-file /at http://" +
		b.door.addr + "/say/listening; " + b.door.hold("victim") + "\n"})
	b.commitOf(victim, map[string]string{"victim": ""})
	other := b.start(b.launch("victim"))
	listening := strings.TrimSpace(b.door.await("listening"))

	addresses := append([]string{"tcp " + listening, "tcp GATEWAY:" + everywhere, "tcp GATEWAY:22", "tcp " + b.door.addr}, outside...)
	b.code.Commit(map[string]string{
		"addresses":  strings.Join(addresses, "\n"),
		"Dockerfile": "FROM " + b.base + " AS call\nCOPY addresses /addresses\nRUN probe dial /addresses > /reached\nFROM scratch\nCOPY --from=call /reached /\n",
	})
	b.commit(map[string]string{"caller": ""})
	before := calls.Load()
	res := b.deploy("caller")
	b.expect(res, job.Created, true)
	said := imagetest.Files(t, res.Result.Image)["reached"]
	for _, a := range addresses {
		if want := a == "tcp "+b.door.addr; reached(said, a) != want || !want && !strings.Contains(said, "denied "+a) {
			t.Errorf("%s is reached by a step: %v, want %v:\n%s", a, !want, want, said)
		}
	}
	if n := calls.Load(); n != before {
		t.Errorf("steps called %d times", n-before)
	}
	b.door.open("victim")
	other.wait()
}

// What BuildKit fetches for a Dockerfile comes from inside of the sandbox as well.
func TestBuildkitFetchesNothingPrivateForADockerfile(t *testing.T) {
	b := newBuilds(t)
	var calls atomic.Int32
	private := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		fmt.Fprint(w, "private")
	}))
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = private.Listener.Close()
	private.Listener = l
	private.Start()
	defer private.Close()
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	loop, own := "127.0.0.1:"+port, ownAddress(t)+":"+port
	b.door.answer = func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/public":
			fmt.Fprint(w, "public")
		case "/elsewhere":
			http.Redirect(w, r, "http://"+own+"/x", http.StatusFound)
		default: // a registry that sends who asks to another server for a token
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+own+`/token",service="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	cases := map[string]string{
		"add-loopback": "FROM scratch\nADD http://" + loop + "/x /x\n",
		"add-own":      "FROM scratch\nADD http://" + own + "/x /x\n",
		"add-redirect": "FROM scratch\nADD http://" + b.door.addr + "/elsewhere /x\n",
		"git":          "FROM scratch\nADD http://" + own + "/repo.git#main /x\n",
		"from":         "FROM " + own + "/a/base:1\nCOPY Dockerfile /x\n",
		"from-loop":    "FROM " + loop + "/a/base:1\nCOPY Dockerfile /x\n",
		"copy-from":    "FROM scratch\nCOPY --from=" + own + "/a/base:1 / /x\n",
		"syntax":       "# syntax=" + own + "/a/frontend:1\nFROM scratch\nCOPY Dockerfile /x\n",
		"realm":        "FROM " + b.door.addr + "/a/base:1\nCOPY Dockerfile /x\n",
	}
	more := map[string]string{"public": "build: {dockerfile: public}\n"}
	files := map[string]string{"public": "FROM scratch\nADD http://" + b.door.addr + "/public /x\n"}
	for name, dockerfile := range cases {
		more[name], files[name] = "build: {dockerfile: "+name+"}\n", dockerfile
	}
	b.code.Commit(files)
	b.commit(more)
	res := b.deploy("public")
	b.expect(res, job.Created, true)
	if got := imagetest.Files(t, res.Result.Image)["x"]; got != "public" {
		t.Errorf("what may be fetched is %q", got)
	}
	var all sync.WaitGroup
	for name := range cases {
		launch := b.launch(name)
		b.retry(name, 1)
		all.Go(func() {
			res := b.run(launch)
			if res.Result.Outcome != job.Failed || !strings.Contains(res.Result.Detail, ":"+port) {
				t.Errorf("%s: %s: %s", name, res.Result.Outcome, res.Result.Detail)
			}
		})
	}
	all.Wait()
	if n := calls.Load(); n > 0 {
		t.Errorf("a private server was asked %d times", n)
	}
	if answer, err := http.Get("http://" + own); err != nil || errors.Join(answer.Body.Close()) != nil || calls.Load() != 1 {
		t.Errorf("the private server is not even reached from outside: %v", err)
	}
}

// What only a build that is trusted may ask for is refused, and what is outside of the context is not there.
func TestWishesOfADockerfileAreRejected(t *testing.T) {
	b := newBuilds(t)
	from := "FROM " + b.base + "\n"
	cases := map[string]struct{ dockerfile, says string }{
		"network":  {from + "RUN --network=host true\n", "network.host is not allowed"},
		"insecure": {from + "RUN --security=insecure true\n", "security.insecure is not allowed"},
		"above":    {"FROM scratch\nCOPY ../../../etc/passwd /\n", "passwd"},
		"bind":     {from + "RUN --mount=type=bind,source=/etc/passwd,target=/m cat /m\n", "passwd"},
		"from":     {"FROM scratch\nCOPY --from=/etc passwd /\n", "/etc"},
		"secret":   {from + "RUN --mount=type=secret,id=FLY_API_TOKEN,required=true cat /run/secrets/FLY_API_TOKEN\n", "FLY_API_TOKEN"},
		"ssh":      {from + "RUN --mount=type=ssh,required=true true\n", "ssh"},
	}
	more, files := map[string]string{}, map[string]string{}
	for name, c := range cases {
		more[name], files[name] = "build: {dockerfile: "+name+"}\n", c.dockerfile
	}
	b.code.Commit(files)
	b.commit(more)
	var all sync.WaitGroup
	for name, c := range cases {
		launch := b.launch(name)
		all.Go(func() {
			res := b.run(launch)
			if res.Result.Outcome != job.Rejected || !strings.Contains(res.Result.Detail, c.says) || strings.Contains(res.Result.Detail, "root:") {
				t.Errorf("%s: %s: %s\n%s", name, res.Result.Outcome, res.Result.Detail, res.said)
			}
		})
	}
	all.Wait()
	b.code.Commit(map[string]string{"network": from + "RUN true\n"})
	b.expect(b.deploy("network"), job.Created, true)
}

func TestLinksOutOfTheRepositoryAreRejected(t *testing.T) {
	b := newBuilds(t)
	more := map[string]string{}
	for name, link := range map[string]string{"a-dockerfile": "Dockerfile", "an-ignore-file": ".dockerignore", "a-folder": "folder/inner"} {
		code := b.Repo(name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(code.Dir, link)), 0o750), os.Symlink("/etc/passwd", filepath.Join(code.Dir, link))); err != nil {
			t.Fatal(err)
		}
		code.Commit(map[string]string{"README": "it has a link"})
		more[name] = ""
		b.commitOf(code, map[string]string{name: "build: {dockerfile: Dockerfile}\n"})
	}
	for name := range more {
		res := b.deploy(name)
		if res.Result.Outcome != job.Rejected || !strings.Contains(res.Result.Detail, "outside of the repository") || strings.Contains(res.Result.Detail, "root:") {
			t.Errorf("%s: %s: %s", name, res.Result.Outcome, res.Result.Detail)
		}
	}
}
