package manifest_test

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

const buildKey = "secrets: [{name: NPM_TOKEN, type: env, build_only: true}, {name: DEPLOY_KEY, type: file, file: id}]\n"

// TestWhatABuildCannotDoIsRefused holds the keys of the image to each other, each mistake at its place.
func TestWhatABuildCannotDoIsRefused(t *testing.T) {
	const image = "source: {type: image, image: 'ghcr.io/acme/web:1'}\n"
	const such = "such as registry.fly.io/other-app or ghcr.io/acme/web"
	for _, c := range []struct{ text, want string }{
		{buildKey + "build: {secrets: [NPM_TOKN]}", `3:19: build.secrets[0]: "NPM_TOKN" is none of secrets; list it there, with where its value comes from (and build_only: true, if the app is not to have it); did you mean "NPM_TOKEN"?`},
		{buildKey + "build: {secrets: [NPM_TOKEN, NPM_TOKEN]}", `3:30: build.secrets[1]: "NPM_TOKEN" is listed twice`},
		{buildKey + "build: {secrets: [NPM_TOKEN, '']}", "3:30: build.secrets[1]: is missing; expected the name of one of secrets"},
		{buildKey + "build: {secrets: [NPM_TOKEN], ssh: {default: DEPLOY}}", `3:46: build.ssh.default: "DEPLOY" is none of secrets; list it there, with where its value comes from (and build_only: true, if the app is not to have it); did you mean "DEPLOY_KEY"?`},
		{buildKey + "build: {secrets: [NPM_TOKEN], ssh: {'a b': DEPLOY_KEY}}", `3:36: build.ssh: expected ids of letters, digits and . _ -, such as default, found "a b"`},
		{buildKey + "build: {secrets: [NPM_TOKEN], ssh: {default: '-----BEGIN OPENSSH PRIVATE KEY-----\\nx'}}", "3:46: build.ssh.default: holds a private key; put the key where secrets can find it, and write the secret's name"},
		{buildKey + "build: {secrets: [NPM_TOKEN]}\nfiles: [{guest_path: /x, secret_name: NPM_TOKEN}]", "4:39: files[0].secret_name: NPM_TOKEN is build_only, so the app does not have it; leave build_only out, or list it under a second name"},
		{buildKey + "build: {secrets: [NPM_TOKEN]}\naddons: [{type: redis, url_secret: NPM_TOKEN}]", "4:36: addons[0].url_secret: NPM_TOKEN is build_only, so the app does not have it; leave build_only out, or list it under a second name"},
		{"secrets: [{name: 'A B', type: env}]\nbuild: {secrets: ['A B']}", `3:19: build.secrets[0]: expected a name of letters, digits and . _ -, by which a step can mount it, found "A B"`},
		{buildKey + "build: {secrets: [NPM_TOKEN], backend: fly}", "3:18: build.secrets: does not go with build.backend: fly: flyctl takes the values of secrets on its command line, where others can read them; write backend: buildkit"},
		{buildKey + "build: {secrets: [NPM_TOKEN], builder: b/c}", "3:18: build.secrets: does not go with build.builder (buildpacks are built by Fly's remote builders, through flyctl): flyctl takes the values of secrets on its command line, where others can read them; write a Dockerfile"},
		{"secrets: [{name: K, type: env}]\nbuild: {ssh: {default: K}, backend: fly}", "3:14: build.ssh: does not go with build.backend: fly: flyctl forwards no keys; write backend: buildkit"},
		{"build: {network: none, backend: fly}", "2:18: build.network: does not go with build.backend: fly: what steps of it reach is Fly's to decide; write backend: buildkit"},
		{"image: {repository: ghcr.io/acme/web}\nbuild: {backend: fly}", "2:21: image.repository: does not go with build.backend: fly: flyctl pushes to the app's own repository only; write backend: buildkit"},
		{"build: {builder: b/c, build-target: run}", "2:37: build.build-target: is a stage of a Dockerfile, and build.builder builds without one; write one of them"},
		{"build: {builder: b/c, backend: buildkit}", "2:32: build.backend: expected fly or auto beside build.builder: buildpacks are built by Fly's remote builders, through flyctl"},
		{"build: {builder: b/c, dockerfile: D}", "2:35: build.dockerfile: has no effect beside build.builder, which wins; write one of them"},
		{"source: {type: inline-docker-file, inline: FROM x}\nbuild: {builder: b/c}", "2:44: source.inline: has no effect beside build.builder, which wins; write one of them"},
		{"build: {labels: {'a=b': x}}", `2:17: build.labels: expected names of letters, digits and . _ - /, which begin and end with a letter or a digit, such as org.opencontainers.image.title, found "a=b"`},
		{"build: {timeout: 0.5s}", "2:18: build.timeout: expected 1s to 50m (an attempt at a job lasts an hour), found 500ms"},
		{"build: {timeout: -3}", "2:18: build.timeout: expected 1s to 50m (an attempt at a job lasts an hour), found -3s"},
		{"build: {timeout: 51m}", "2:18: build.timeout: expected 1s to 50m (an attempt at a job lasts an hour), found 51m0s"},
		{"build: {builtin: node}", "2:18: build.builtin: flyctl carries the Dockerfiles of its builtins inside it, where FlyCD cannot have them; write the Dockerfile, and leave builtin out"},
		{"build: {dockerfile: /etc/Dockerfile}", "2:21: build.dockerfile: expected a path in the app's source, such as docker/web.Dockerfile, not an absolute path"},
		{"build: {dockerfile: a/../../D}", "2:21: build.dockerfile: leaves the app's source, in which its path begins (source.path); name a file inside it"},
		{"build: {dockerfile: 'https://example.com/Dockerfile'}", "2:21: build.dockerfile: URLs are not read; put the file into the app's source, and write its path there"},
		{"build: {ignorefile: ../.dockerignore}", "2:21: build.ignorefile: leaves the app's source, in which its path begins (source.path); name a file inside it"},
		{"build:\n  build-target: a\n  build_target: a", "4:3: build.build_target: is another spelling of build-target on line 3; write one of them"},
		{"build: {target: x}", `2:9: build.target: unknown key; did you mean "build-target"?`},
		{"build: {compress: gzip}", `2:9: build.compress: unknown key`},
		{"image: {repo: ghcr.io/acme/web}", `2:9: image.repo: unknown key; did you mean "repository"?`},
		{"image: ghcr.io/acme/web", "2:8: image: expected keys and values such as {repository: ghcr.io/acme/web}, found text"},
		{"build: {ssh: DEPLOY_KEY}", "2:14: build.ssh: expected keys and values such as {default: NAME}, found text"},
		{"build: {labels: x}", "2:17: build.labels: expected keys and values, found text"},
		{"source: {type: image, image: 'NGINX:1:2'}", `2:30: source.image: expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, whose name is small letters, digits and . _ - /; found "NGINX:1:2"`},
		{"source: {type: image, image: 'nginx@sha256:00'}", `2:30: source.image: expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, and a digest is sha256: with 64 of 0-9 a-f after it; found "nginx@sha256:00"`},
		{"build: {image: 'nginx:'}", `2:16: build.image: expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, and a tag is at most 128 letters, digits and . _ -; found "nginx:"`},
		{"source: {type: git, repo: r, image: x}\nbuild: {image: 'https://ghcr.io/x'}", `3:16: build.image: expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, without https://; found "https://ghcr.io/x"`},
		{"source: {type: image, image: 'a..b c:1/x'}", `2:30: source.image: expected an image such as nginx:1.27 or ghcr.io/acme/web:1.2, with the host of a registry first, where it is not Docker Hub's; found "a..b c:1/x"`},
		{"build: {backend: flyctl}", `2:18: build.backend: expected buildkit, fly or auto, found "flyctl"`},
		{"build: {secret: [A]}", `2:9: build.secret: unknown key; did you mean "secrets"?`},
		{"source: {type: local, copy: true}", "2:29: source.copy: goes only with an image (source.type: image); what FlyCD builds is in the app's repository already"},
		{"source: {type: git, repo: r, policy: {digest: true}}", "2:38: source.policy: goes only with an image (source.image, or build.image): it chooses among its tags"},
		{"build: {image: 'a/b@sha256:" + strings.Repeat("0", 64) + "'}\nsource: {type: image, policy: {digest: true}}", "3:31: source.policy: has no tags to choose among, because build.image names a digest; write the image without it"},
		{"build: {image: 'a/b'}\nsource: {policy: {digest: true}, path: x}", "3:9: source.type: is missing; expected git, local, inline-docker-file or image"},
		{"source: {policy: {digest: true}}", "2:9: source.type: is missing; expected git, local, inline-docker-file or image"},
		{"build: {image: 'a/b'}\nsource: {policy: '>=1'}", "3:18: source.policy: expected keys and values such as {semver: 1.x}, found text"},
		{"source: {type: image, image: 'a/b@sha256:" + strings.Repeat("0", 64) + "', policy: {semver: 1.x}}", "2:117: source.policy: has no tags to choose among, because source.image names a digest; write the image without it"},
		{"source: {type: image, image: 'a/b:1', policy: {semver: newest}}", `2:56: source.policy.semver: expected a range of versions such as >=1.2 <2, found "newest"`},
		{"source: {type: image, image: 'a/b:1', policy: {regex: 'main-('}}", "2:55: source.policy.regex: expected a regular expression such as ^main-([0-9]+)$: error parsing regexp: missing closing ): `main-(`"},
		{"source: {type: image, image: 'a/b:1', policy: {semver: '>=2 <1 || ^3.1 <3'}}", `2:56: source.policy.semver: no version is in ">=2 <1 || ^3.1 <3"; expected a range such as >=1.2 <2`},
		{"source: {type: image, image: 'a/b:1', policy: {regex: '^main-[0-9]+$', sort: number}}", "2:55: source.policy.regex: has no group, so the whole tag is taken, which is no number, and sort: number asks for one; put a group around the number, as in ^main-([0-9]+)$"},
		{"source: {type: image, image: 'a/b:1', policy: {regex: '^(main-[0-9]+)$', sort: number}}", "2:55: source.policy.regex: its first group captures what is no number, and sort: number asks for one; put a group around the number, as in ^main-([0-9]+)$"},
		{"source: {type: image, image: 'a/b:1', policy: {sort: number}}", "2:54: source.policy.sort: says how tags that match regex are sorted, and there is no regex; write one, such as ^main-([0-9]+)$"},
		{"source: {type: image, image: 'a/b:1', policy: {regex: x, sort: numbr}}", `2:64: source.policy.sort: expected number, text or semver, found "numbr"; did you mean "number"?`},
		{"image: {repository: 'https://ghcr.io/acme/web'}", `2:21: image.repository: expected a registry and a path in it, ` + such + `, without https://, found "https://ghcr.io/acme/web"`},
		{"image: {repository: 'ghcr.io/acme/web:1'}", `2:21: image.repository: expected a repository without a tag, ` + such + `: FlyCD makes the tag of what the image is built from; found "ghcr.io/acme/web:1"`},
		{"image: {repository: 'ghcr.io/acme/web@sha256:0'}", `2:21: image.repository: expected a repository without a digest, ` + such + `: FlyCD deploys by digest itself; found "ghcr.io/acme/web@sha256:0"`},
		{"image: {repository: acme/web}", `2:21: image.repository: expected a registry and a path in it, ` + such + `, found "acme/web"; on Docker Hub it is docker.io/acme/web`},
		{"image: {repository: web}", `2:21: image.repository: expected a registry and a path in it, ` + such + `, found "web"`},
		{"image: {repository: ghcr.io/Acme/web}", `2:21: image.repository: expected a path of small letters, digits and . _ - after the registry, ` + such + `, found "Acme/web"`},
		{"image: {repository: 'ghcr.io:/x'}", `2:21: image.repository: expected the host of a registry first, ` + such + `, found "ghcr.io:"`},
		{"secrets: [{name: FLY_API_TOKEN, type: env}]", "2:18: secrets[0].name: FLY_API_TOKEN of the runner's environment is FlyCD's own and no app's; give the runner the app's value under another name, and say so here (env: MY_APP_FLY_API_TOKEN)"},
		{"secrets: [{name: A, type: env, env: REDIS_URL_2}]", "2:37: secrets[0].env: REDIS_URL_2 of the runner's environment is FlyCD's own and no app's; give the runner the app's value under another name, and say so here (env: MY_APP_REDIS_URL_2)"},
		{"image: {registry: x}", "2:9: image.registry: unknown key"},
		{image + "deploy_params: [--build-arg, VERSION]", "3:17: deploy_params: --build-arg: expected NAME=VALUE, found \"VERSION\""},
		{image + "deploy_params: [--build-secret, TOKEN=hush]", "3:17: deploy_params: --build-secret holds a value that everyone can read who reads this file; list its name under build.secrets, and under secrets where the value comes from"},
	} {
		t.Run(c.text, func(t *testing.T) {
			_, err := readText("app: a\n" + c.text)
			if diff := cmp.Diff([]string{"app.yaml:" + c.want}, lines(err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestKeysOfABuildThatDoNothingAreTold warns, and refuses nothing.
func TestKeysOfABuildThatDoNothingAreTold(t *testing.T) {
	const image = "source: {type: image, image: 'ghcr.io/acme/web:1'}\n"
	for _, c := range []struct{ text, want string }{
		{image + "build: {dockerfile: D}", "3:21: build.dockerfile: has no effect: the app runs an image that is there already, and builds none"},
		{image + "build: {args: {A: b}, cache: 'off', timeout: 1m}", "3:15: build.args: has no effect (like build.cache, build.timeout): the app runs an image that is there already, and builds none"},
		{"build: {image: nginx, build_target: x}", "2:37: build.build_target: has no effect: the app runs an image that is there already, and builds none"},
		{image + "build: {image: 'ghcr.io/acme/web:2'}", "3:16: build.image: has no effect beside source.image, which wins; write one of them"},
		{image + "image: {repository: ghcr.io/acme/web}", "3:21: image.repository: has no effect: the app runs an image that is there already, and it is not copied (source.copy)"},
		{"secrets: [{name: A, type: env, build_only: true}]", "2:44: secrets[0].build_only: nobody gets A: no build uses it (build.secrets, build.ssh), and the app does not have it"},
		{"build: {buildpacks: [b/node]}", "2:21: build.buildpacks: has no effect without build.builder, the image that they run in, such as paketobuildpacks/builder-jammy-base; write it"},
		{"build: {settings: {a: 1}}", "2:19: build.settings: has no effect: it belongs to build.builtin"},
		{"source: {type: image, image: 'a/b', policy: {}}", "2:45: source.policy: has no effect: it follows nothing; write semver, regex or digest: true, or leave it out"},
		{"build: {image: 'a/b'}\nsource: {policy: {digest: false}}", "3:18: source.policy: has no effect: it follows nothing; write semver, regex or digest: true, or leave it out"},
		{"source: {type: image, image: 'a/b', policy: {semver: 1.x, digest: true}}", "2:67: source.policy.digest: has no effect beside semver and regex: the tag that they choose is followed to its newest digest anyway; leave it out"},
		{"build: {backend: fly, cache: max}", "2:30: build.cache: has no effect with build.backend: fly"},
	} {
		t.Run(c.text, func(t *testing.T) {
			tree, err := readText("app: a\n" + c.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"app.yaml:" + c.want}, lines(manifest.Problems(tree.Warnings))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// soundBuilds say everything at once that goes together, the last in the spelling of fly.toml.
func soundBuilds() map[string]string {
	return map[string]string{
		"built.yaml": buildKey + `image: {repository: "localhost:5000/a/b_c"}
build:
  dockerfile: D
  secrets: [NPM_TOKEN]
  ssh: {default: DEPLOY_KEY}
  labels: {org.opencontainers.image.source: "https://x.org/y"}
  network: none
  cache: min
  provenance: true
  backend: buildkit
  timeout: 90
  compression: zstd
`,
		"image.yaml": `source:
  type: image
  image: ghcr.io/acme/web
  copy: true
  policy: {semver: ">=1.2 <2", regex: "^v([0-9.]+)$", sort: semver}
image: {repository: registry.fly.io/shared}
`,
		"alone.yaml": "build: {image: ghcr.io/acme/web}\nsource: {copy: true, policy: {regex: '^[0-9]+$', sort: number}}\n",
		"own.yaml":   "build: {image: ghcr.io/acme/web}\nsource: {type: image, policy: {semver: 1.x}}\n",
		"other.yaml": "build: {image: ghcr.io/acme/web}\nsource: {type: git, repo: 'https://example.com/x', policy: {semver: 1.x}}\n",
		"packs.yaml": "build: {builder: paketobuildpacks/builder-jammy-base, buildpacks: [paketo-buildpacks/nodejs], backend: fly, args: {BP: x}}\n",
	}
}

func TestSoundBuildsAreReadAsTheyAreWritten(t *testing.T) {
	for name, text := range soundBuilds() {
		tree, err := readText("app: a\n" + text)
		if err != nil || len(tree.Warnings) > 0 {
			t.Errorf("%s: %v %v", name, err, tree.Warnings)
		}
	}
	app := entry(t, "app.yaml", []byte("app: a\n"+soundBuilds()["built.yaml"])).App
	timeout := manifest.Duration(90 * time.Second)
	want := &manifest.Build{
		Dockerfile: "D", Secrets: []string{"NPM_TOKEN"}, SSH: map[string]string{"default": "DEPLOY_KEY"},
		Labels: map[string]string{"org.opencontainers.image.source": "https://x.org/y"}, Network: "none", Cache: "min", Provenance: true,
		Backend: "buildkit", Timeout: &timeout, Compression: "zstd",
	}
	if diff := cmp.Diff(want, app.Build); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if app.Image.Repository != "localhost:5000/a/b_c" || !app.Secrets[0].BuildOnly || app.Secrets[1].BuildOnly {
		t.Errorf("image %+v, secrets %+v", app.Image, app.Secrets)
	}
}

// TestBuildsSurviveConversion writes each as TOML and back, and reads the same app from all three.
func TestBuildsSurviveConversion(t *testing.T) {
	for name, text := range soundBuilds() {
		yaml := []byte("app: a\n" + text)
		toml, err := manifest.ToTOML(name, yaml)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		back, err := manifest.ToYAML(name, toml)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := entry(t, "app.yaml", yaml)
		for file, data := range map[string][]byte{"app.toml": toml, "app.yaml": back} {
			got := entry(t, file, data)
			if diff := cmp.Diff(want.App, got.App, cmp.AllowUnexported(manifest.Secret{})); diff != "" {
				t.Errorf("%s as %s (-want +got):\n%s\n%s", name, file, diff, data)
			}
			if diff := cmp.Diff(want.JSON(), got.JSON()); diff != "" {
				t.Errorf("%s rendered from %s (-want +got):\n%s", name, file, diff)
			}
		}
	}
}

// TestOneRepositoryForAllAppsOfAProject is how several apps share what is built from one tree.
func TestOneRepositoryForAllAppsOfAProject(t *testing.T) {
	tree, err := manifest.Read(fstest.MapFS{
		"project.yaml": {Data: []byte(`project: shop
source: {type: local, path: apps}
common:
  vars: {REGISTRY: ghcr.io}
  app_defaults:
    image: {repository: "${REGISTRY}/acme/shop"}
    build: {cache: min, labels: {team: shop}, secrets: [NPM_TOKEN]}
    secrets: [{name: NPM_TOKEN, type: env, build_only: true}]
`)},
		"apps/web/app.yaml": {Data: []byte("app: web\nbuild: {labels: {part: web}}\n")},
		"apps/api/app.yaml": {Data: []byte("app: api\nimage: {repository: registry.fly.io/api}\nbuild: {cache: max}\n")},
	}, ".", manifest.Options{})
	if err != nil || len(tree.Warnings) > 0 {
		t.Fatalf("%v %v", err, tree.Warnings)
	}
	got := map[string]string{}
	for _, e := range tree.Apps {
		got[e.App.Name] = strings.Join([]string{e.App.Image.Repository, e.App.Build.Cache, e.App.Build.Labels["team"], e.App.Build.Labels["part"], e.App.Build.Secrets[0]}, " ")
	}
	want := map[string]string{"web": "ghcr.io/acme/shop min shop web NPM_TOKEN", "api": "registry.fly.io/api max shop  NPM_TOKEN"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMistakesOfAProjectsBuildAreShownInItsFile names the place in project.yaml.
func TestMistakesOfAProjectsBuildAreShownInItsFile(t *testing.T) {
	_, err := manifest.Read(fstest.MapFS{
		"project.yaml":  {Data: []byte("project: shop\nsource: {type: local, path: apps}\ncommon:\n  app_defaults:\n    image: {repository: 'ghcr.io/acme/web:1'}\n")},
		"apps/app.yaml": {Data: []byte("app: web\n")},
	}, ".", manifest.Options{})
	if got := lines(err); len(got) != 1 || !strings.HasPrefix(got[0], "project.yaml:5:25: image.repository: expected a repository without a tag") {
		t.Errorf("got %q", got)
	}
}

// TestFlagsOfABuildFillItsKeys reads what flyctl was told on its command line.
func TestFlagsOfABuildFillItsKeys(t *testing.T) {
	tree, err := readText(`app: a
deploy_params: [--label, team=shop, --label, part=x, --compression=zstd, --compression-level, "3", --buildkit, --depot-scope, app]
build: {labels: {part: web}, compression: gzip}
`)
	if err != nil || len(tree.Warnings) > 0 {
		t.Fatalf("%v %v", err, tree.Warnings)
	}
	level := 3
	want := &manifest.Build{Labels: map[string]string{"team": "shop", "part": "web"}, Compression: "zstd", CompressionLevel: &level}
	if diff := cmp.Diff(want, tree.Apps[0].App.Build); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	tree, err = readText("app: a\ndeploy_params: [--compression=lzma, --compression-level=10]\n")
	if err != nil || len(tree.Warnings) != 2 {
		t.Errorf("%v %v", err, tree.Warnings)
	}
}
