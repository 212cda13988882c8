package machine

import (
	"slices"
	"strings"

	"github.com/gigurra/flycd/shared/manifest"
)

// The names under which an app finds its services where the manifest names no other.
const (
	RedisSecret    = "REDIS_URL"
	PostgresSecret = "DATABASE_URL"
)

// secretNames are those that the manifest lists for the app and not for its builds alone, sorted.
func (t *translator) secretNames() []string {
	var names, mine []string
	for _, s := range t.app.Secrets {
		if s.Name == "" {
			t.bad("secrets.name", "is missing; say what the secret is called in the app")
		}
		names = append(names, s.Name)
		if !s.BuildOnly {
			mine = append(mine, s.Name)
		}
	}
	slices.Sort(names)
	slices.Sort(mine)
	if len(slices.Compact(names)) != len(t.app.Secrets) {
		t.bad("secrets", "some are listed twice")
	}
	return mine
}

// certs are the host names in the form that Fly gives them: lower-case, sorted, each once.
func (t *translator) certs() []string {
	var all []string
	for _, c := range t.app.Certs {
		all = append(all, strings.ToLower(c.Hostname))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// addons are in the order of the manifest, with names and secrets filled in.
func (t *translator) addons() []Addon {
	var all []Addon
	for _, a := range t.app.Addons {
		all = append(all, t.addon(a))
	}
	return all
}

func (t *translator) addon(a manifest.Addon) Addon {
	usual, known := map[string]string{"redis": RedisSecret, "postgres": PostgresSecret, "tigris": ""}[a.Type]
	if !known {
		t.bad("addons.type", "is %q; it can be redis, tigris or postgres", a.Type)
	}
	if a.Type == "tigris" && a.Secret+a.URLSecret != "" {
		t.bad("addons.secret", "does not go with tigris, whose secrets have fixed names (AWS_ACCESS_KEY_ID, …)")
	}
	if a.URLSecret != "" {
		if !slices.ContainsFunc(t.app.Secrets, func(s manifest.SecretRef) bool { return s.Name == a.URLSecret }) {
			t.bad("addons.url_secret", "%q is none of secrets; list it there, with where its value comes from", a.URLSecret)
		}
		return Addon{Type: a.Type, Name: a.Name, Secret: first(a.Secret, usual), From: a.URLSecret}
	}
	return Addon{
		Type: a.Type, Name: first(a.Name, t.appName()+"-"+a.Type), Plan: a.Plan,
		Region: first(a.Region, t.primaryRegion()), Secret: first(a.Secret, usual),
	}
}
