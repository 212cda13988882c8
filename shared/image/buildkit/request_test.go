package buildkit

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client"
	"github.com/pelletier/go-toml/v2"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/manifest"
)

func TestRequestIsSaidInBuildKitsWords(t *testing.T) {
	level := 7
	frontend := func(more ...string) map[string]string {
		attrs := map[string]string{"filename": "Dockerfile", "platform": "linux/amd64", "build-arg:SOURCE_DATE_EPOCH": "0"}
		for i := 0; i < len(more); i += 2 {
			attrs[more[i]] = more[i+1]
		}
		return attrs
	}
	export := func(more ...string) map[string]string {
		attrs := map[string]string{"name": "registry.fly.io/web:t-1", "push": "true", "source-date-epoch": "0", "rewrite-timestamp": "true"}
		for i := 0; i < len(more); i += 2 {
			attrs[more[i]] = more[i+1]
		}
		return attrs
	}
	for name, c := range map[string]struct {
		req              image.Request
		frontend, export map[string]string
		imports, exports int
		mode             string
	}{
		"nothing asked":         {image.Request{}, frontend(), export(), 1, 1, "max"},
		"a Dockerfile of a dir": {image.Request{Dockerfile: "./docker/../docker/web"}, frontend("filename", "docker/web"), export(), 1, 1, "max"},
		"target, args and labels": {
			image.Request{Target: "run", Args: map[string]string{"A": "x=y"}, Labels: map[string]string{"l": "v"}},
			frontend("target", "run", "build-arg:A", "x=y", "label:l", "v"), export(), 1, 1, "max",
		},
		"an epoch": {
			image.Request{Epoch: time.Unix(1e9, 5)}, frontend("build-arg:SOURCE_DATE_EPOCH", "1000000000"), export("source-date-epoch", "1000000000"), 1, 1, "max",
		},
		"the user's own epoch": {
			image.Request{Epoch: time.Unix(1e9, 5), Args: map[string]string{"SOURCE_DATE_EPOCH": "7"}},
			frontend("build-arg:SOURCE_DATE_EPOCH", "7"), export("source-date-epoch", "7"), 1, 1, "max",
		},
		"no cache":   {image.Request{NoCache: true}, frontend("no-cache", ""), export(), 0, 1, "max"},
		"cache min":  {image.Request{Cache: "min"}, frontend(), export(), 1, 1, "min"},
		"cache off":  {image.Request{Cache: "off"}, frontend(), export(), 0, 0, ""},
		"no push":    {image.Request{NoPush: true}, frontend(), export("push", "false"), 1, 0, ""},
		"no network": {image.Request{Network: "none"}, frontend("force-network-mode", "none"), export(), 1, 1, "max"},
		"provenance": {image.Request{Provenance: true}, frontend("attest:provenance", "mode=min"), export(), 1, 1, "max"},
		"zstd": {
			image.Request{Compression: "zstd", Level: &level},
			frontend(),
			export("compression", "zstd", "compression-level", "7", "force-compression", "true", "oci-mediatypes", "true"), 1, 1, "max",
		},
		"secrets, which are nobody's business": {
			image.Request{Secrets: map[string]manifest.Secret{"s": manifest.NewSecret("hunter2")}, SSH: map[string]manifest.Secret{"k": manifest.NewSecret("hunter2")}},
			frontend(), export(), 1, 1, "max",
		},
	} {
		c.req.App = "web"
		opt := attributes("registry.fly.io/web:t-1", c.req)
		if diff := cmp.Diff(c.frontend, opt.FrontendAttrs); diff != "" {
			t.Errorf("%s: frontend (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff([]client.ExportEntry{{Type: "image", Attrs: c.export}}, opt.Exports); diff != "" {
			t.Errorf("%s: export (-want +got):\n%s", name, diff)
		}
		if len(opt.CacheImports) != c.imports || len(opt.CacheExports) != c.exports {
			t.Errorf("%s: %d imports and %d exports of a cache, want %d and %d", name, len(opt.CacheImports), len(opt.CacheExports), c.imports, c.exports)
		}
		for _, e := range append(opt.CacheImports, opt.CacheExports...) {
			if e.Attrs["ref"] != "registry.fly.io/web:cache-web" {
				t.Errorf("%s: the cache is at %s", name, e.Attrs["ref"])
			}
		}
		if c.exports > 0 && (opt.CacheExports[0].Attrs["mode"] != c.mode || opt.CacheExports[0].Attrs["ignore-error"] != "true") {
			t.Errorf("%s: the cache is exported by %v", name, opt.CacheExports[0].Attrs)
		}
		if len(opt.AllowedEntitlements) > 0 || opt.Frontend != "dockerfile.v0" {
			t.Errorf("%s: entitlements %v, frontend %s", name, opt.AllowedEntitlements, opt.Frontend)
		}
	}
}

func TestConfigurationIsTOMLWhateverThePathsAre(t *testing.T) {
	c := config{
		dir: `/tmp/a "b" \c`, runc: "/usr/bin/runc", cgroup: "/build", resolver: netip.MustParseAddr("192.0.2.1"), insecure: []string{"registry.local:5000", "[::1]:5000"},
	}
	var got struct {
		Root         string
		Entitlements []string `toml:"insecure-entitlements"`
		GRPC         struct{ Address []string }
		DNS          struct{ Nameservers []string }
		Worker       struct {
			OCI struct {
				DefaultCgroupParent, Binary string
				GC                          bool
			}
			Containerd struct{ Enabled bool }
		}
		Registry map[string]struct{ HTTP bool }
	}
	if err := toml.Unmarshal([]byte(c.String()), &got); err != nil {
		t.Fatalf("%v:\n%s", err, c)
	}
	if got.Root != c.dir+"/root" || got.Worker.OCI.DefaultCgroupParent != "/build" || got.Worker.OCI.Binary != c.runc || got.Worker.OCI.GC ||
		got.Worker.Containerd.Enabled || len(got.Entitlements) > 0 || !got.Registry["registry.local:5000"].HTTP || !got.Registry["[::1]:5000"].HTTP {
		t.Errorf("configuration says %+v", got)
	}
	if diff := cmp.Diff([]string{"unix://" + c.socket()}, got.GRPC.Address); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"192.0.2.1"}, got.DNS.Nameservers); diff != "" {
		t.Error(diff)
	}
}

func TestFolderInMemoryIsWalkedAsOneOnDisk(t *testing.T) {
	m := memory{"a/b/Dockerfile": {}, "a/b/Dockerfile.dockerignore": []byte("x"), "a-c": []byte("y")}
	walk := func(target string, skip string) string {
		var seen []string
		err := m.Walk(t.Context(), target, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if e.IsDir() {
				p += "/"
			}
			seen = append(seen, p)
			if p == skip {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(seen, " ")
	}
	for _, c := range []struct{ target, skip, want string }{
		{"", "", "a/ a/b/ a/b/Dockerfile a/b/Dockerfile.dockerignore a-c"},
		{"/", "", "a/ a/b/ a/b/Dockerfile a/b/Dockerfile.dockerignore a-c"},
		{"a/b", "", "a/b/ a/b/Dockerfile a/b/Dockerfile.dockerignore"},
		{"a", "a/", "a/"},
		{"", "a/b/", "a/ a/b/ a-c"},
		{"", "a/b/Dockerfile", "a/ a/b/ a/b/Dockerfile a-c"},
		{"a/b/Dockerfile", "", "a/b/Dockerfile"},
		{"none", "", ""},
	} {
		if got := walk(c.target, c.skip); got != c.want {
			t.Errorf("walk of %q that skips at %q sees %q, want %q", c.target, c.skip, got, c.want)
		}
	}
}

// What a step prints comes in pieces.
func TestLastLinesOfAStepAreWholeHoweverTheyCome(t *testing.T) {
	s := &step{}
	for _, piece := range []string{"one\ntw", "o\r\n", "\n", strings.Repeat("x", longestLine+10), "\n", "last"} {
		s.add([]byte(piece))
	}
	if got, want := s.last(), "one\ntwo\n"+strings.Repeat("x", longestLine)+"\nlast"; got != want {
		t.Errorf("last lines = %q, want %q", got, want)
	}
	for range 100 {
		s.add([]byte("line\n"))
	}
	if got := strings.Count(s.last(), "\n") + 1; got != keptLines {
		t.Errorf("%d lines are kept, want %d", got, keptLines)
	}
}

func TestAnswersOfRegistriesAreKnownByTheirCodes(t *testing.T) {
	for said, want := range map[string]int{
		"unexpected status from HEAD request to https://ghcr.io/v2/a/manifests/1: 403 Forbidden":        403,
		"x: unexpected status from GET request to http://h:1/v2/: 429 Too Many Requests: slow down 404": 429,
		"a:1: not found": 0, "": 0,
	} {
		if got := answerIn(said); got != want {
			t.Errorf("%q answers %d, want %d", said, got, want)
		}
	}
}

func TestNetworksThatFailAreKnownByTheirWords(t *testing.T) {
	for said, want := range map[string]bool{
		`Get "http://10.0.0.1/x": dial tcp 10.0.0.1:80: connect: connection refused`:                                                    true,
		"git stderr:\nfatal: unable to access 'http://h/r.git/': Failed to connect to h port 80 after 0 ms: Couldn't connect to server": true,
		"git stderr:\nfatal: unable to access 'http://h/r.git/': Failed to connect to h port 80: Connection timed out":                  true,
		"git stderr:\nfatal: unable to access 'http://h/r.git/': Could not resolve host: h":                                             true,
		"git stderr:\nfatal: unable to access 'http://h/r.git/': The requested URL returned error: 503":                                 true,
		"git stderr:\nremote: Repository not found.\nfatal: repository 'http://h/r.git/' not found":                                     false,
		"git stderr:\nfatal: unable to access 'http://h/r.git/': The requested URL returned error: 403":                                 false,
		"invalid response status 503": true, "invalid response status 404": false, "parent snapshot does not exist": false,
	} {
		if got := passing(said); got != want {
			t.Errorf("%q passes: %v, want %v", said, got, want)
		}
	}
}
