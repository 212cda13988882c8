package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gigurra/flycd/shared/manifest"
)

// under reads one app below a project with a policy.
func under(t *testing.T, allow, app string) (manifest.Tree, manifest.Problems) {
	t.Helper()
	tree, err := manifest.Read(files(map[string]string{
		"project.yaml": "project: p\nsource: {type: local}\nallow: {" + allow + "}\n", "shop/app.yaml": "app: shop\n" + app,
	}), ".", manifest.Options{Repo: "https://github.com/acme/config", Org: "acme"})
	return tree, problemsOf(t, err)
}

func problemsOf(t *testing.T, err error) manifest.Problems {
	t.Helper()
	var ps manifest.Problems
	if err != nil && !errors.As(err, &ps) {
		t.Fatal(err)
	}
	return ps
}

// TestEveryRuleIsKept is the table of manifests and rules: what each rule says of each way to want something.
func TestEveryRuleIsKept(t *testing.T) {
	const git = "source: {type: git, repo: 'https://github.com/acme/web.git'}\n"
	for _, c := range []struct{ allow, app, refused string }{
		{"", git + "primary_region: ams", ""},
		{"apps: [shop]", "", ""},
		{"apps: ['sho?', other]", "", ""},
		{"apps: []", "", `app: "shop" is not allowed: project.yaml:3 (project p) allows none`},
		{"apps: [web-*, api]", "", `app: "shop" is not allowed: project.yaml:3 (project p) allows web-*, api`},
		{"apps: ['*', '!sh*']", "", `app: "shop" is denied by "!sh*" in project.yaml:3 (project p)`},
		{"apps: ['!sh*', shop]", "", `app: "shop" is denied by "!sh*" in project.yaml:3 (project p)`},
		{"orgs: [acme]", "", ""},
		{"orgs: [acme]", "org: personal", `org: "personal" is not allowed: project.yaml:3 (project p) allows acme`},
		{"orgs: [acme]", "launch_params: [--org=evil]", `org: "evil" is not allowed: project.yaml:3 (project p) allows acme`},
		{"orgs: [acme]", "network: {ips: [{v: v6, private: true, org: evil}]}", `network.ips[0].org: "evil" is not allowed: project.yaml:3 (project p) allows acme`},
		{"regions: [ams, 'f*']", "primary_region: ams\nextra_regions: [fra]", ""},
		{"regions: [ams]", "primary_region: sin", `primary_region: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"regions: ['*', '!sin']", "primary_region: SIN", `primary_region: "SIN" is denied by "!sin" in project.yaml:3 (project p)`},
		{"regions: ['[a-c]*']", "primary_region: ams\nextra_regions: [fra]", `extra_regions[0]: "fra" is not allowed: project.yaml:3 (project p) allows [a-c]*`},
		{"regions: [ams]", "", "primary_region: what is not written, and Fly would choose one is not allowed: project.yaml:3 (project p) allows ams"},
		{"regions: ['*']", "", ""},
		{"regions: [ams]", "deploy_params: [--region, sin]", `primary_region: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"regions: [ams]", "primary_region: ams\nlaunch_params: [--primary-region=sin]", `launch_params: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"regions: [ams]", "primary_region: ams\nschedules: [{name: j, command: x, every: daily, region: sin}]", `schedules[0].region: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"regions: [ams]", "primary_region: ams\nnetwork: {ips: [{v: v6, region: sin}]}", `network.ips[0].region: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"regions: [ams]", "primary_region: ams\naddons: [{type: redis, region: sin}]", `addons[0].region: "sin" is not allowed: project.yaml:3 (project p) allows ams`},
		{"repos: [github.com/acme/*]", git, ""},
		{"repos: ['git@GitHub.com:acme/web']", git, ""},
		{"repos: [github.com/acme/config]", "source: {type: git, repo: 'git@github.com:acme/config.git'}", ""},
		{"repos: []", "source: {type: git, repo: 'git@github.com:acme/config.git'}", ""},
		{"repos: [github.com/acme/*]", "source: {type: git, repo: 'git@github.com:evil/web'}", `source.repo: "github.com/evil/web" is not allowed: project.yaml:3 (project p) allows github.com/acme/*`},
		{"repos: [github.com/acme/**]", "source: {type: git, repo: 'https://github.com/acme/../evil/web'}", "source.repo: what is an address that may mean another one is not allowed: project.yaml:3 (project p) allows github.com/acme/**"},
		{"repos: [github.com/acme/**]", "source: {type: git, repo: 'https://github.com/acme/%2e%2e/evil'}", "source.repo: what is an address that may mean another one is not allowed: project.yaml:3 (project p) allows github.com/acme/**"},
		{"repos: [github.com/acme/*]", "source: {type: git, repo: 'https://github.com:8443/acme/web'}", `source.repo: "github.com:8443/acme/web" is not allowed: project.yaml:3 (project p) allows github.com/acme/*`},
		{"repos: [ghcr.io/acme/*, docker.io/library/nginx]", "source: {type: image, image: 'nginx:1.27'}", ""},
		{"repos: [ghcr.io/acme/*]", "build: {image: 'ghcr.io/acme/web@sha256:" + strings.Repeat("a", 64) + "'}", ""},
		{"repos: [ghcr.io/acme/*]", "source: {type: image, image: nginx}", `source.image: "docker.io/library/nginx" is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*`},
		{"repos: [ghcr.io/acme/*]", "deploy_params: [--image, evil/web]", `source.image: "docker.io/evil/web" is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*`},
		{"repos: [ghcr.io/acme/*]", "image: {repository: registry.fly.io/other}", `image.repository: "registry.fly.io/other" is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*`},
		{"repos: [ghcr.io/acme/*]", "image: {repository: registry.fly.io/shop}", ""},
		{"repos: [ghcr.io/acme/*]", "machine_checks: [{command: [x], image: evil/x}]", `machine_checks[0].image: "docker.io/evil/x" is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*`},
		{"repos: [ghcr.io/acme/*]", `machine_config: '{"containers": [{"name": "x", "IMAGE": "evil/x"}]}'`, `machine_config.containers[0].image: "docker.io/evil/x" is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*`},
		{"repos: [ghcr.io/acme/*]", "machine_config: m.json", "machine_config: what may name images in another file; write it here, as JSON is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*"},
		{"repos: ['*']", "machine_config: m.json", ""},
		{"repos: [ghcr.io/acme/*]", "build: {compose: {file: c.yml}}", "build.compose: what names images in another file is not allowed: project.yaml:3 (project p) allows ghcr.io/acme/*"},
		{"repos: ['localhost:5000/*']", "source: {type: image, image: 'localhost:5000/web:1'}", ""},
		{"repos: ['localhost:5000/*']", "source: {type: git, repo: 'http://localhost:5000/web'}", ""},
		{"repos: ['*', '!github.com/evil/*']", "build: {compose: {file: c.yml}}", `build.compose: what names images in another file is denied by "!github.com/evil/*" in project.yaml:3 (project p)`},
		{"vm_sizes: [shared-cpu-1x]", "", ""},
		{"vm_sizes: [shared-cpu-2x]", "", `vm: "shared-cpu-1x" is not allowed: project.yaml:3 (project p) allows shared-cpu-2x`},
		{"vm_sizes: ['shared-cpu-[12]x']", "vm: {size: shared-cpu-2x, memory: 512mb}", ""},
		{"vm_sizes: [shared-cpu-1x]", "vm: {memory: 64gb}", `vm[0]: "shared-cpu-1x:65536mb" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: ['shared-cpu-1x:1gb']", "vm: {memory: 1gb}", ""},
		{"vm_sizes: ['shared-cpu-1x:1gb']", "vm: {memory_mb: 1025}", `vm[0]: "shared-cpu-1x:1025mb" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x:1gb`},
		{"vm_sizes: ['shared-cpu-1x:*']", "vm: {memory: 2gb}", ""},
		{"vm_sizes: [shared-cpu-1x]", "vm: {max_memory_mb: 4096}", `vm[0]: "shared-cpu-1x:4096mb" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "vm: {cpus: 8}", `vm[0]: "shared-cpu-8x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "vm: {cpu_kind: performance}", `vm[0]: "performance-1x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "vm_size: performance-2x", `vm_size: "performance-2x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "machines: {ram_mb: 4096}", `machines: "shared-cpu-1x:4096mb" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "machines: {app: {cpu_cores: 4}}", `machines.app: "shared-cpu-4x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "deploy_params: [--vm-memory, 8gb]", `vm: "shared-cpu-1x:8192mb" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "launch_params: [--vm-size=performance-4x]", `vm: "performance-4x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "vm: {gpu_kind: l40s}", `vm[0]: "l40s" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "host_dedication_id: mine", "vm: what is on a dedicated host is not allowed: project.yaml:3 (project p) allows shared-cpu-1x"},
		{"vm_sizes: [shared-cpu-1x]", "schedules: [{name: j, command: x, every: daily, vm: {size: performance-1x}}]", `schedules[0].vm: "performance-1x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", "deploy: {release_command: x, release_command_vm: {size: performance-1x}}", `deploy.release_command_vm: "performance-1x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", `machine_config: '{"guest": {"CPU_KIND": "performance", "cpus": 8, "memory_mb": 16384}}'`, `machine_config.guest: "performance-8x" is not allowed: project.yaml:3 (project p) allows shared-cpu-1x`},
		{"vm_sizes: [shared-cpu-1x]", `machine_config: '{"guest": {"cpus": 1}}'`, "machine_config: what leaves the size open; write cpu_kind, cpus and memory_mb is not allowed: project.yaml:3 (project p) allows shared-cpu-1x"},
		{"vm_sizes: ['*', '!performance-*']", "vm: {size: performance-1x, memory: 32gb}", `vm[0]: "performance-1x:32768mb" is denied by "!performance-*" in project.yaml:3 (project p)`},
		{"max_machines: 1", "", ""},
		{"max_machines: 0", "", "machines: 1 machines are not allowed: project.yaml:3 (project p) allows 0"},
		{"max_machines: 3", "primary_region: ams\nextra_regions: [fra]\nmachines: {count: 2}", "machines: 4 machines are not allowed: project.yaml:3 (project p) allows 3"},
		{"max_machines: 3", "primary_region: ams\nextra_regions: [fra, ams, fra]\nmachines: {count: 2, count_per_region: {fra: 1}}", ""},
		{"max_machines: 2", "processes: {a: a, b: b}\nmachines: {b: {count: 2}}", "machines: 3 machines are not allowed: project.yaml:3 (project p) allows 2"},
		{"max_machines: 1", "ha: true", "machines: 2 machines are not allowed: project.yaml:3 (project p) allows 1"},
		{"max_machines: 1", "deploy_params: [--ha]", "machines: 2 machines are not allowed: project.yaml:3 (project p) allows 1"},
		{"max_machines: 1", "schedules: [{name: j, command: x, every: daily}]", "machines: 2 machines are not allowed: project.yaml:3 (project p) allows 1"},
		{"max_machines: 5", "machines: {count: 9000000000000000000}\nprocesses: {a: a, b: b, c: c}", "machines: 3145728 machines are not allowed: project.yaml:3 (project p) allows 5"},
		{"addons: [redis]", "addons: [{type: redis}]", ""},
		{"addons: [redis]", "addons: [{type: redis, name: shop-redis}]", ""},
		{"addons: []", "addons: [{type: redis}]", `addons[0]: "redis" is not allowed: project.yaml:3 (project p) allows none`},
		{"addons: [redis]", "addons: [{type: redis, name: prod}]", `addons[0]: "redis/prod" is not allowed: project.yaml:3 (project p) allows redis`},
		{"addons: [redis/prod]", "addons: [{type: redis, name: prod}]", ""},
		{"addons: ['*/*']", "addons: [{type: tigris, name: prod}]", ""},
		{"addons: ['*', '!postgres']", "addons: [{type: postgres, name: prod}]", `addons[0]: "postgres/prod" is denied by "!postgres" in project.yaml:3 (project p)`},
		{"addons: [redis]", "statics: [{guest_path: /x, url_prefix: /x, tigris_bucket: prod}]", `statics[0].tigris_bucket: "tigris/prod" is not allowed: project.yaml:3 (project p) allows redis`},
		{"addons: []", "secrets: [{name: U, type: env}]\naddons: [{type: redis, url_secret: U}]", ""},
		{"secrets: [SHOP_*]", "secrets: [{name: X, type: env, env: SHOP_X}, {name: SHOP_Y, type: env}]", ""},
		{"secrets: [SHOP_*]", "secrets: [{name: SHOP_X, type: env, env: PROD_X}]", `secrets[0]: "PROD_X" is not allowed: project.yaml:3 (project p) allows SHOP_*`},
		{"secrets: ['*', '!PROD_*']", "secrets: [{name: PROD_X, type: env}]", `secrets[0]: "PROD_X" is denied by "!PROD_*" in project.yaml:3 (project p)`},
		{"secrets: [SHOP_*]", "secrets: [{name: A, type: sops, file: s.yaml}]", `secrets[0]: "sops:shop/s.yaml" is not allowed: project.yaml:3 (project p) allows SHOP_*`},
		{"secrets: ['sops:shop/*']", "secrets: [{name: A, type: sops, file: s.yaml}]", ""},
		{"secrets: ['sops:shop/*']", "secrets: [{name: A, type: sops, file: ../prod/s.yaml}]", `secrets[0]: "sops:prod/s.yaml" is not allowed: project.yaml:3 (project p) allows sops:shop/*`},
		{"secrets: ['????:*/*']", "secrets: [{name: A, type: sops, file: s.yaml}]", `secrets[0]: "sops:shop/s.yaml" is not allowed: project.yaml:3 (project p) allows ????:*/*`},
	} {
		t.Run(c.allow+"_"+c.app, func(t *testing.T) {
			tree, ps := under(t, c.allow, c.app)
			if c.refused == "" {
				if len(ps) > 0 || len(tree.Apps) != 1 {
					t.Fatal(ps)
				}
				return
			}
			rule, _, _ := strings.Cut(c.allow, ":")
			if len(ps) != 1 || len(tree.Apps) > 0 {
				t.Fatalf("%d apps, %v", len(tree.Apps), ps)
			}
			if diff := cmp.Diff(c.refused, ps[0].Text); diff != "" || !ps[0].Refused || ps[0].Key != "allow."+rule || ps[0].App != "shop" || ps[0].Hides {
				t.Errorf("(-want +got): %s\n%#v", diff, ps[0])
			}
		})
	}
}

// TestPoliciesThatCannotBeMeantAreRefused holds a policy to being read as it is written, also where people are lenient.
func TestPoliciesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, c := range []struct{ allow, want string }{
		{"allow:", "3:7: allow: says nothing; write what is allowed, or leave it out"},
		{"allow: {region: [ams]}", `3:9: allow.region: unknown key; did you mean "regions"?`},
		{"alow: {regions: [ams]}", `3:1: alow: unknown key; did you mean "allow"?`},
		{"allow: {regions: ams}", "3:18: allow.regions: expected a list, found text"},
		{"allow: {regions: }", "3:18: allow.regions: expected a list, found nothing; [] allows nothing, and without the key it is not restricted"},
		{"allow: {regions: ['!ams']}", "3:18: allow.regions: only denies, and so allows nothing; add what is allowed, such as '*' for all else, or write []"},
		{"allow: {regions: ['']}", "3:19: allow.regions[0]: expected a name or a glob, found nothing"},
		{"allow: {regions: [\"${R}\"]}", `3:19: allow.regions[0]: expected a name or a glob, found "${R}"; variables are not filled in here`},
		{"allow: {regions: ['[ams']}", `3:19: allow.regions[0]: expected a name or a glob (* ** ? [a-z]), found "[ams"`},
		{"allow: {regions: ['[z-a]']}", `3:19: allow.regions[0]: expected a name or a glob (* ** ? [a-z]), found "[z-a]"`},
		{"allow: {repos: [acme]}", `3:17: allow.repos[0]: expected a repository as HOST/OWNER/NAME, such as github.com/acme/*, found "acme"`},
		{"allow: {vm_sizes: ['shared-cpu-1x:lots']}", `3:20: allow.vm_sizes[0]: expected a size and the most memory it may have, such as shared-cpu-1x:1gb or shared-cpu-1x:*, found "shared-cpu-1x:lots"`},
		{"allow: {vm_sizes: ['*', '!shared-cpu-1x:1gb']}", `3:25: allow.vm_sizes[1]: expected a size without a memory after !, found "shared-cpu-1x:1gb": a size with too much memory is not allowed anyway, where the lists do not say so`},
		{"allow: {max_machines: -1}", "3:23: allow.max_machines: expected at least 0, found -1"},
		{"allow: {max_machines: }", "3:23: allow.max_machines: expected a whole number, found nothing; without the key any number is allowed"},
	} {
		for _, lenient := range []bool{false, true} {
			tree, err := manifest.Read(files(map[string]string{
				"project.yaml": "project: p\nsource: {type: local}\n" + c.allow + "\n", "app.yaml": "app: shop",
			}), ".", manifest.Options{Lenient: lenient})
			if got := lines(err); len(got) != 1 || got[0] != "project.yaml:"+c.want || len(tree.Apps) > 0 || !problemsOf(t, err).HideApps() {
				t.Errorf("%s: %v", c.allow, err)
			}
		}
	}
}

// TestRulesSeeWhatIsDeployed holds them to the manifest after defaults, overrides, substitutions and variables.
func TestRulesSeeWhatIsDeployed(t *testing.T) {
	read := func(common, app string) (manifest.Tree, manifest.Problems) {
		tree, err := manifest.Read(files(map[string]string{
			"project.yaml": "project: p\nsource: {type: local}\nallow: {regions: [ams]}\ncommon: {" + common + "}\n", "app.yaml": app,
		}), ".", manifest.Options{})
		return tree, problemsOf(t, err)
	}
	for _, c := range []struct{ common, app, place string }{
		{"app_defaults: {primary_region: sin}", "app: a", "project.yaml:4:41"},
		{"app_overrides: {primary_region: sin}", "app: a\nprimary_region: ams", "project.yaml:4:42"},
		{"substitutions: {ams: sin}", "app: a\nprimary_region: ams", "app.yaml:2:17"},
		{"vars: {R: sin}", "app: a\nprimary_region: ${R}", "app.yaml:2:17"},
	} {
		tree, ps := read(c.common, c.app)
		want := c.place + `: allow.regions: primary_region: "sin" is not allowed: project.yaml:3 (project p) allows ams`
		if len(tree.Apps) > 0 || ps.Error() != want {
			t.Errorf("%s: %v", c.common, ps)
		}
	}
	if tree, ps := read("app_overrides: {primary_region: ams}", "app: a\nprimary_region: sin"); len(tree.Apps) != 1 {
		t.Error(ps)
	}
}

// TestInnerProjectsOnlyNarrow holds every enclosing policy at once, wherever the project came from.
func TestInnerProjectsOnlyNarrow(t *testing.T) {
	outer := "project: outer\nsource: {type: local}\nallow: {regions: [ams, fra], apps: ['*', '!prod-*']}\n"
	for _, c := range []struct {
		inner, app string
		want       []string
	}{
		{"", "app: a\nprimary_region: fra", nil},
		{"allow: {regions: [fra]}", "app: a\nprimary_region: fra", nil},
		{"allow: {regions: [ams]}", "app: a\nprimary_region: fra", []string{`in/app.yaml:2:17: allow.regions: primary_region: "fra" is not allowed: in/project.yaml:3 (project inner) allows ams`}},
		{"allow: {regions: ['*'], apps: ['*']}", "app: a\nprimary_region: sin", []string{`in/app.yaml:2:17: allow.regions: primary_region: "sin" is not allowed: project.yaml:3 (project outer) allows ams, fra`}},
		{"allow: {regions: [sin]}", "app: a\nprimary_region: sin", []string{`in/app.yaml:2:17: allow.regions: primary_region: "sin" is not allowed: project.yaml:3 (project outer) allows ams, fra`}},
		{"allow: {regions: [sin]}", "app: a\nprimary_region: ams", []string{`in/app.yaml:2:17: allow.regions: primary_region: "ams" is not allowed: in/project.yaml:3 (project inner) allows sin`}},
		{"allow: {apps: [prod-db]}", "app: prod-db\nprimary_region: ams", []string{`in/app.yaml:1:6: allow.apps: app: "prod-db" is denied by "!prod-*" in project.yaml:3 (project outer)`}},
	} {
		tree, err := manifest.Read(files(map[string]string{
			"project.yaml": outer, "in/project.yaml": "project: inner\nsource: {type: local}\n" + c.inner, "in/app.yaml": c.app,
		}), ".", manifest.Options{})
		if diff := cmp.Diff(c.want, lines(err)); diff != "" || len(tree.Apps)+len(c.want) != 1 {
			t.Errorf("%s (-want +got):\n%s", c.inner, diff)
		}
	}
}

// TestProjectsOfARepositoryAreBoundByThoseAround is for the repositories of inner projects.
func TestProjectsOfARepositoryAreBoundByThoseAround(t *testing.T) {
	team := files(map[string]string{"app.yaml": "app: far"})
	opts := manifest.Options{Repo: "git@github.com:acme/config", Repos: shelf{"https://github.com/acme/team@": team, "https://github.com/acme/secret@": team}}
	for repo, want := range map[string]string{
		"https://github.com/acme/team":   "",
		"https://github.com/acme/secret": `in/project.yaml:2:28: allow.repos: source.repo: "github.com/acme/secret" is denied by "!*/*/secret" in project.yaml:3 (project p)`,
	} {
		tree, err := manifest.Read(files(map[string]string{
			"project.yaml":    "project: p\nsource: {type: local}\nallow: {repos: [github.com/acme/*, '!*/*/secret']}\n",
			"in/project.yaml": "project: in\nsource: {type: git, repo:  '" + repo + "'}\nallow: {repos: [github.com/acme/web]}",
		}), ".", opts)
		if got := strings.Join(lines(err), "\n"); got != want || want != "" && !problemsOf(t, err).HideApps() {
			t.Errorf("%s: %v", repo, err)
		}
		if reached := len(tree.Apps) == 1 && len(tree.Repos) == 1; reached != (want == "") {
			t.Errorf("%s: %v %v", repo, seen(tree), tree.Repos)
		}
	}
}

// TestRefusedNamesAreTakenFromNobody lets a project that may not have a name stop no app that has it.
func TestRefusedNamesAreTakenFromNobody(t *testing.T) {
	tree, err := manifest.Read(files(map[string]string{
		"a/project.yaml": "project: a\nsource: {type: local}\nallow: {apps: [a-*]}", "a/app.yaml": "app: shop", "z/app.yaml": "app: shop",
		"b/project.yaml": "project: b\nsource: {type: local}\nallow: {apps: [b-*]}", "b/app.yaml": "app: old",
	}), ".", manifest.Options{})
	if diff := cmp.Diff([]string{"shop z/app.yaml"}, seen(tree)); diff != "" {
		t.Error(diff)
	}
	ps := problemsOf(t, err)
	if len(ps) != 2 || ps[0].App != "" || ps[1].App != "old" || ps.HideApps() {
		t.Errorf("%#v", ps)
	}
}
