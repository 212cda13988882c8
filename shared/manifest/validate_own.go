package manifest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/shlex"
)

// schedules checks that each schedule can be a machine of its own.
func (c checker) schedules() {
	taken := map[string]bool{}
	for i, s := range c.app.Schedules {
		key := fmt.Sprintf("schedules[%d]", i)
		switch {
		case s.Name == "":
			c.bad(key+".name", "is missing; say what the schedule is called")
		case !isLabel(s.Name) || strings.ToLower(s.Name) != s.Name:
			c.bad(key+".name", "expected a name of small letters, digits and dashes, at most 63, found %q", clip(s.Name))
		case taken[s.Name]:
			c.bad(key+".name", "%q is listed twice", s.Name)
		case slices.Contains(c.app.groupNames(), s.Name):
			c.bad(key+".name", "%q is a process group too; machines are named after both, so choose another name", s.Name)
		}
		taken[s.Name] = true
		if words, err := shlex.Split(s.Command); err != nil {
			c.bad(key+".command", "cannot be split into words; a quote is not closed")
		} else if len(words) == 0 {
			c.bad(key+".command", "is missing; say what runs")
		}
		if s.Every == "" {
			c.bad(key+".every", "is missing; expected hourly, daily, weekly or monthly")
		}
		if s.VM != nil && len(s.VM.Processes) > 0 {
			c.ignored(key+".vm.processes", "has no effect; a schedule has a machine of its own")
		}
	}
}

func (c checker) certs() {
	taken := map[string]bool{}
	for i, cert := range c.app.Certs {
		key, name := fmt.Sprintf("certs[%d].hostname", i), strings.ToLower(cert.Hostname)
		switch {
		case name == "":
			c.bad(key, "is missing; say which host name the certificate is for")
		case !isHost(name):
			c.bad(key, "expected a host name such as example.com or *.example.com, found %q", clip(cert.Hostname))
		case taken[name]:
			c.bad(key, "%q is listed twice", clip(name))
		}
		taken[name] = true
	}
}

// isHost accepts names with a dot, and a star as the first label.
func isHost(name string) bool {
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	return len(name) <= 253 && len(labels) > 1 && !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) })
}

func (c checker) addons() {
	services, secrets := map[string]bool{}, map[string]bool{}
	for _, s := range c.app.Secrets {
		secrets[s.Name] = true
	}
	for i, a := range c.app.Addons {
		key := fmt.Sprintf("addons[%d]", i)
		name := a.Type + " " + a.Name
		if a.Name == "" {
			name = a.Type + " " + c.app.Name + "-" + a.Type
		}
		switch {
		case a.Type == "":
			c.bad(key+".type", "is missing; expected redis, tigris or postgres")
			continue
		case a.URLSecret != "":
			c.foreign(key, a)
		case a.Name != "" && (!isLabel(a.Name) || strings.ToLower(a.Name) != a.Name):
			c.bad(key+".name", "expected a name of small letters, digits and dashes, at most 63, found %q", clip(a.Name))
		case services[name]:
			c.bad(key, "is the second %s; give each a name of its own", name)
		}
		services[name] = services[name] || a.URLSecret == ""
		c.addonSecret(key, a, secrets)
	}
}

// foreign checks an add-on that is run elsewhere.
func (c checker) foreign(key string, a Addon) {
	known := slices.ContainsFunc(c.app.Secrets, func(s SecretRef) bool { return s.Name == a.URLSecret })
	switch {
	case a.Type == "tigris":
		c.bad(key+".url_secret", "does not go with tigris, whose secrets have fixed names; list them under secrets")
	case !known:
		c.bad(key+".url_secret", "%q is none of secrets; list it there, with where its value comes from", clip(a.URLSecret))
	}
	for name, value := range map[string]string{"plan": a.Plan, "region": a.Region} {
		if value != "" {
			c.ignored(key+"."+name, "has no effect with url_secret; nothing is created")
		}
	}
}

// addonSecret checks the name under which the app finds the service.
func (c checker) addonSecret(key string, a Addon, secrets map[string]bool) {
	names := []string{a.Secret}
	switch {
	case a.Type == "tigris" && a.Secret != "":
		c.bad(key+".secret", "does not go with tigris, whose secrets have fixed names (AWS_ACCESS_KEY_ID and others)")
		return
	case a.Type == "tigris":
		names = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "BUCKET_NAME"}
	case a.Secret == "":
		names = []string{map[string]string{"redis": "REDIS_URL", "postgres": "DATABASE_URL"}[a.Type]}
	}
	for _, name := range names {
		if secrets[name] && name != a.URLSecret {
			at := key
			if hasKey(nodeAt(c.tree, key), "secret") {
				at += ".secret"
			}
			c.bad(at, "sets the secret %s, which is set by something else too; keep one of them, or choose another name (secret)", clip(name))
			return
		}
		secrets[name] = true
	}
}

func (c checker) depends() {
	seen := map[string]bool{}
	for i, name := range c.app.DependsOn {
		key := fmt.Sprintf("depends_on[%d]", i)
		switch {
		case !isLabel(name) || strings.ToLower(name) != name:
			c.bad(key, "expected the name of an app, found %q", clip(name))
		case name == c.app.Name:
			c.bad(key, "the app depends on itself")
		case seen[name]:
			c.bad(key, "%q is listed twice", name)
		}
		seen[name] = true
	}
}

func (c checker) probes() {
	for i, p := range c.app.Verify {
		key := fmt.Sprintf("verify[%d]", i)
		u, err := url.Parse(p.URL)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			c.bad(key+".url", "expected an address such as https://my-app.fly.dev/")
		case u.User != nil:
			c.bad(key+".url", "has a name or password in it, which everyone can read who reads this file; leave it out")
		}
		if p.Status != 0 && (p.Status < 100 || p.Status > 599) {
			c.bad(key+".status", "expected an HTTP status from 100 to 599, found %d", p.Status)
		}
		if p.Within != nil && (*p.Within <= 0 || time.Duration(*p.Within) > time.Hour) {
			c.bad(key+".within", "expected more than 0 and at most 1h, found %s", p.Within)
		}
	}
}
