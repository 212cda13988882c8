package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// Buildctl builds by starting the buildctl program against a BuildKit that is run elsewhere.
type Buildctl struct {
	// Path is the program; empty means buildctl on the PATH.
	Path string
	// Addr is BUILDKIT_HOST: unix:///run/buildkit/buildkitd.sock, tcp://host:1234.
	Addr string
	// Registry is the host that takes the images; empty means Fly's.
	Registry string
	// Logins are the credentials of registries, for pushing and for pulling base images.
	Logins map[string]Login
	// Insecure pushes over plain http.
	Insecure bool
}

// Build implements Builder. The image is Registry/App:Tag.
//
// A base image that its registry says does not exist or denies is rejected, as Registry.Resolve does it; one whose
// registry cannot be reached may be tried again. So may a push that is denied: the Dockerfile is not to blame,
// and a login can be put right without a new commit.
func (b Buildctl) Build(ctx context.Context, req Request) (Reference, error) {
	name, err := req.Check(b.Registry)
	if err != nil {
		return Reference{}, err
	}
	binary, err := exec.LookPath(or(b.Path, "buildctl"))
	if err != nil {
		return Reference{}, job.Rejectf("build %s: the program buildctl is not installed: install it from BuildKit's releases, or use flyctl", name)
	}
	private, err := os.MkdirTemp("", "flycd-build-*")
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	defer os.RemoveAll(private) //nolint:errcheck // best effort: the folder is private
	if err := writeLogins(private, b.Logins); err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	if err := stamp(req); err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	if req.Ignorefile != "" {
		if err := copyDockerfile(filepath.Join(private, ignoring), req); err != nil {
			return Reference{}, fmt.Errorf("build %s: %w", name, err)
		}
	}
	p := program{
		path: binary, args: b.args(req, name, private), log: req.Log,
		// what this process was given for itself, the login's password among it, is none of buildctl's business
		env: []string{"DOCKER_CONFIG=" + private}, hides: []string{"FLY", "REDIS_"},
	}
	if err := p.run(ctx); err != nil {
		return Reference{}, b.judge("build "+name, err)
	}
	digest, err := readDigest(filepath.Join(private, metadata))
	if err != nil {
		return Reference{}, fmt.Errorf("build %s: %w", name, err)
	}
	return Reference{Name: name, Digest: digest}, nil
}

// Built implements Builder.
func (b Buildctl) Built(ctx context.Context, req Request) (Reference, bool, error) {
	return Registry{Logins: b.Logins}.Exists(ctx, req.Name(b.Registry))
}

// args is buildctl's command line.
func (b Buildctl) args(req Request, image, private string) []string {
	// the whole folder, so that a Dockerfile may be a link: BuildKit asks for the named file only
	folder := req.Dir
	if req.Ignorefile != "" {
		folder = filepath.Join(private, ignoring)
	}
	args := []string{}
	if b.Addr != "" {
		args = append(args, "--addr", b.Addr)
	}
	args = append(args, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context="+req.Dir,
		"--local", "dockerfile="+folder,
		"--opt", "filename="+path.Clean(or(req.Dockerfile, "Dockerfile")),
		// Fly's machines are of this kind only
		"--opt", "platform=linux/amd64",
	)
	if req.Target != "" {
		args = append(args, "--opt", "target="+req.Target)
	}
	for _, k := range sortedKeys(req.Args) {
		args = append(args, "--opt", "build-arg:"+k+"="+req.Args[k])
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	output := "type=image,name=" + image + ",push=true"
	if b.Insecure {
		output += ",registry.insecure=true"
	}
	return append(args, "--output", output, "--metadata-file", filepath.Join(private, metadata))
}

// judge knows what buildctl says of a BuildKit that cannot be reached and of a registry that denies a push;
// the rest is judged as of every builder.
func (b Buildctl) judge(what string, err error) error {
	var f *failure
	switch {
	case !errors.As(err, &f):
	case strings.Contains(f.last, "failed to list workers"):
		return fmt.Errorf("%s: the BuildKit at BUILDKIT_HOST=%s cannot be reached: start it, or correct the address:\n%s",
			what, or(b.Addr, "(not set)"), f.last)
	case strings.Contains(f.last, "error: failed to solve: failed to push"):
		return fmt.Errorf("%s: the image is built, and registry %s does not take it: see that it can be reached, and that FlyCD's login may push:\n%s",
			what, or(b.Registry, FlyRegistry), f.last)
	}
	return judge(what, err)
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// writeLogins writes the config.json that docker's clients read, for its owner alone.
func writeLogins(dir string, logins map[string]Login) error {
	type entry struct {
		Auth string `json:"auth"`
	}
	auths := map[string]entry{}
	for host, l := range logins {
		// the name under which docker's clients look for Docker Hub
		if host == "docker.io" || host == "index.docker.io" {
			host = "https://index.docker.io/v1/"
		}
		auths[host] = entry{base64.StdEncoding.EncodeToString([]byte(l.Username + ":" + l.Password.Reveal()))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return fmt.Errorf("write registry logins: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600); err != nil {
		return fmt.Errorf("write registry logins: %w", err)
	}
	return nil
}

func readDigest(file string) (string, error) {
	text, err := os.ReadFile(file) //nolint:gosec // in a private folder of ours
	if err != nil {
		return "", fmt.Errorf("read build metadata: %w", err)
	}
	var metadata struct {
		Digest string `json:"containerimage.digest"`
	}
	if err := json.Unmarshal(text, &metadata); err != nil {
		return "", fmt.Errorf("read build metadata: %w", err)
	}
	if !isDigest(metadata.Digest) {
		return "", errors.New("the builder told no digest")
	}
	return metadata.Digest, nil
}
