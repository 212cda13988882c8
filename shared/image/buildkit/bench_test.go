package buildkit_test

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gigurra/flycd/shared/image"
	"github.com/gigurra/flycd/shared/image/imagetest"
)

// BenchmarkBuild builds one tree (200 files, a base, two steps that run, a second stage) with the Builder and, by hand, with
// buildkitd and buildctl of the same release and without a sandbox. Cold begins with nothing: a buildkitd is started and no
// step is in its cache; warm is the next build of a tree in which one file changed, with the buildkitd that runs.
func BenchmarkBuild(b *testing.B) {
	imagetest.Need(b, "buildkitd", "buildctl", "runc")
	r := world.Registry(b)
	files := benchTree(base(b, r))
	b.Run("cold/builder", func(b *testing.B) {
		for b.Loop() {
			bk := builder(b, r)
			mustBuild(b, bk, quiet(b, files))
			b.StopTimer()
			_ = bk.Close()
			b.StartTimer()
		}
	})
	b.Run("cold/buildctl", func(b *testing.B) {
		for b.Loop() {
			h := imagetest.Buildkitd(b)
			byHand(b, h, quiet(b, files), r)
			b.StopTimer()
			h.End()
			b.StartTimer()
		}
	})
	b.Run("warm/builder", func(b *testing.B) {
		bk := builder(b, r)
		warm(b, files, func(req image.Request) { mustBuild(b, bk, req) })
	})
	b.Run("warm/buildctl", func(b *testing.B) {
		h := imagetest.Buildkitd(b)
		warm(b, files, func(req image.Request) { byHand(b, h, req, r) })
		h.End()
	})
}

// BenchmarkFirstStep is the time from the call of Build to the first output of a step, with the start of buildkitd, and
// when it runs already.
func BenchmarkFirstStep(b *testing.B) {
	imagetest.Need(b, "buildkitd", "runc")
	r := world.Registry(b)
	text := "FROM " + base(b, r) + "\nRUN [\"/step\", \"say\", \"begun\"]\n"
	for _, running := range []bool{false, true} {
		b.Run(fmt.Sprintf("running=%v", running), func(b *testing.B) {
			total := time.Duration(0)
			for b.Loop() {
				b.StopTimer()
				bk := builder(b, r)
				if running {
					mustBuild(b, bk, quiet(b, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
				}
				log := &watched{seen: make(chan struct{}), want: "begun"}
				req := quiet(b, map[string]string{"Dockerfile": text})
				req.Log = log
				b.StartTimer()
				begun := time.Now()
				done := make(chan error, 1)
				go func() {
					_, err := bk.Build(b.Context(), req)
					done <- err
				}()
				<-log.seen
				total += time.Since(begun)
				b.StopTimer()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				_ = bk.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/first-step")
		})
	}
}

func benchTree(base string) map[string]string {
	files := map[string]string{
		"Dockerfile": "FROM " + base + " AS made\nCOPY go.mod /src/\nRUN [\"/step\", \"copy\", \"/src/go.mod\", \"/out/deps\"]\nCOPY . /src\n" +
			"RUN [\"/step\", \"copy\", \"/src/f0\", \"/out/f\"]\nFROM scratch\nCOPY --from=made /out /\n",
		"go.mod": "module x",
	}
	for i := range 200 {
		files[fmt.Sprintf("f%d", i)] = strings.Repeat(fmt.Sprint(i), 5000)
	}
	return files
}

func quiet(b *testing.B, files map[string]string) image.Request {
	b.Helper()
	req := asked(b, files)
	req.Log = io.Discard
	return req
}

// warm times builds of trees of which each differs in one file from the last.
func warm(b *testing.B, files map[string]string, build func(image.Request)) {
	b.Helper()
	build(quiet(b, files))
	for b.Loop() {
		b.StopTimer()
		files["f0"] = time.Now().String()
		req := quiet(b, files)
		b.StartTimer()
		build(req)
	}
}

// byHand builds with buildctl.
func byHand(b *testing.B, s *imagetest.Server, req image.Request, r string) {
	b.Helper()
	name := r + "/" + req.App + ":" + req.Tag
	cmd := exec.Command("buildctl", "--addr", s.Addr, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context="+req.Dir, "--local", "dockerfile="+req.Dir, "--opt", "platform=linux/amd64", "--opt", "build-arg:SOURCE_DATE_EPOCH=0",
		"--output", "type=image,name="+name+",push=true,rewrite-timestamp=true")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
}
