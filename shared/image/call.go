package image

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gigurra/flycd/shared/job"
)

// call is one start of buildctl: a request, and the private folder that is removed after it.
type call struct {
	req            Request
	image, private string
	insecure       bool
}

// longestSecret is the most that a secret may be to fit into a variable of an environment.
const longestSecret = 100_000

// prepare writes what buildctl reads beside its command line. What it gives must be called in any case, when buildctl
// has ended.
func (c call) prepare(ctx context.Context, logins map[string]Login) (closeAgents func(), err error) {
	for id, s := range c.req.Secrets {
		if v := s.Reveal(); len(v) > longestSecret || strings.ContainsRune(v, 0) {
			return func() {}, job.Rejectf("build.secrets: %s is longer than %d bytes or no text, and cannot be handed to buildctl", id, longestSecret)
		}
	}
	closeAgents, err = c.serveKeys()
	if err != nil {
		return closeAgents, err
	}
	steps := []func() error{
		func() error { return writeLogins(c.private, c.opened(ctx, logins)) },
		func() error { return stamp(c.req) },
	}
	if c.req.Ignorefile != "" {
		steps = append(steps, func() error { return copyDockerfile(filepath.Join(c.private, ignoring), c.req) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return closeAgents, fmt.Errorf("build %s: %w", c.image, err)
		}
	}
	return closeAgents, nil
}

// opened exchanges the logins that have to be. One that cannot be is left out, and the log says so: the build may not need
// it.
func (c call) opened(ctx context.Context, logins map[string]Login) map[string]Login {
	out := map[string]Login{}
	for host, l := range logins {
		open, err := l.Open(ctx, hostOf(host), sharedTransport())
		if err != nil {
			note(c.req, "registry login of %s is left out: %v", host, err)
			continue
		}
		out[host] = open
	}
	return out
}

// note tells the log of a build something that is no error.
func note(req Request, format string, args ...any) {
	if req.Log != nil {
		fmt.Fprintf(req.Log, format+"\n", args...)
	}
}

// args is buildctl's command line. It holds no secret: those are in the environment, keys with an agent of ours.
func (c call) args(addr string) []string {
	req := c.req
	// the whole folder, so that a Dockerfile may be a link: BuildKit asks for the named file only
	folder := req.Dir
	if req.Ignorefile != "" {
		folder = filepath.Join(c.private, ignoring)
	}
	args := []string{}
	if addr != "" {
		args = append(args, "--addr", addr)
	}
	args = append(args, "build", "--progress", "plain", "--frontend", "dockerfile.v0",
		"--local", "context="+req.Dir,
		"--local", "dockerfile="+folder,
	)
	for _, opt := range c.opts() {
		args = append(args, "--opt", opt)
	}
	if req.NoCache {
		args = append(args, "--no-cache")
	}
	for i, id := range slices.Sorted(maps.Keys(req.Secrets)) {
		args = append(args, "--secret", "id="+id+",env="+secretVariable(i))
	}
	for i, id := range slices.Sorted(maps.Keys(req.SSH)) {
		args = append(args, "--ssh", id+"="+c.socket(i))
	}
	args = append(args, c.cache()...)
	return append(args, "--output", strings.Join(c.output(), ","), "--metadata-file", filepath.Join(c.private, metadata))
}

// opts are what the Dockerfile's frontend is told.
func (c call) opts() []string {
	req := c.req
	opts := []string{
		"filename=" + path.Clean(cmp.Or(req.Dockerfile, "Dockerfile")),
		// Fly's machines are of this kind only
		"platform=linux/amd64",
	}
	if req.Target != "" {
		opts = append(opts, "target="+req.Target)
	}
	args := maps.Clone(req.Args)
	if args == nil {
		args = map[string]string{}
	}
	if args[epochArg] == "" {
		args[epochArg] = strconv.FormatInt(req.epoch().Unix(), 10)
	}
	for _, k := range sortedKeys(args) {
		opts = append(opts, "build-arg:"+k+"="+args[k])
	}
	for _, k := range sortedKeys(req.Labels) {
		opts = append(opts, "label:"+k+"="+req.Labels[k])
	}
	if req.Network == "none" {
		opts = append(opts, "force-network-mode=none")
	}
	if req.Provenance {
		// min leaves out the values of arguments
		opts = append(opts, "attest:provenance=mode=min")
	}
	return opts
}

// output is where the image goes, and how it is written.
func (c call) output() []string {
	out := []string{"type=image", "name=" + c.image, "push=" + strconv.FormatBool(!c.req.NoPush), "rewrite-timestamp=true"}
	if c.req.Compression != "" {
		// zstd has no name in docker's own media types
		out = append(out, "compression="+c.req.Compression, "force-compression=true", "oci-mediatypes=true")
	}
	if c.req.Level != nil {
		out = append(out, "compression-level="+strconv.Itoa(*c.req.Level))
	}
	return append(out, c.overHTTP()...)
}

func (c call) overHTTP() []string {
	if c.insecure {
		return []string{"registry.insecure=true"}
	}
	return nil
}

// cache takes what the last build of the app left in the repository, and leaves what this one makes. A cache that cannot be
// read or written costs time and no build.
func (c call) cache() []string {
	if c.req.Cache == "off" {
		return nil
	}
	repository := c.image[:strings.LastIndexByte(c.image, ':')]
	ref := append([]string{"type=registry", "ref=" + repository + ":cache-" + c.req.App}, c.overHTTP()...)
	var args []string
	if !c.req.NoCache {
		args = append(args, "--import-cache", strings.Join(ref, ","))
	}
	if c.req.NoPush {
		return args
	}
	to := append(ref, "mode="+cmp.Or(c.req.Cache, "max"), "image-manifest=true", "oci-mediatypes=true", "ignore-error=true")
	return append(args, "--export-cache", strings.Join(to, ","))
}

// secretEnv are the variables that hold the secrets of the build. buildctl hands them to the steps that mount them; nobody
// else sees its environment.
func (c call) secretEnv() []string {
	var env []string
	for i, id := range slices.Sorted(maps.Keys(c.req.Secrets)) {
		env = append(env, secretVariable(i)+"="+c.req.Secrets[id].Reveal())
	}
	return env
}

func secretVariable(i int) string { return "BUILD_SECRET_" + strconv.Itoa(i) }

// writeLogins writes the config.json that docker's clients read, for its owner alone.
func writeLogins(dir string, logins map[string]Login) error {
	type entry struct {
		Auth string `json:"auth"`
	}
	auths := map[string]entry{}
	for host, l := range logins {
		if host = hostOf(host); host == dockerHub {
			host = dockerHubAuth
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

// made is what buildctl says that it made.
type made struct {
	digest string
	index  bool
}

func readMade(file string) (made, error) {
	text, err := os.ReadFile(file) //nolint:gosec // in a private folder of ours
	if err != nil {
		return made{}, fmt.Errorf("read build metadata: %w", err)
	}
	var told struct {
		Digest     string `json:"containerimage.digest"`
		Descriptor struct {
			MediaType string `json:"mediaType"`
		} `json:"containerimage.descriptor"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return made{}, fmt.Errorf("read build metadata: %w", err)
	}
	if !isDigest(told.Digest) {
		return made{}, errors.New("the builder told no digest")
	}
	return made{digest: told.Digest, index: strings.Contains(told.Descriptor.MediaType, "index") || strings.Contains(told.Descriptor.MediaType, "list")}, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
