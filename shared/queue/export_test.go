package queue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Redis gives tests the client itself, to look at keys and to count commands.
func (q *Queue) Redis() *redis.Client { return q.rdb }

// Break changes one script of this queue, or a common one in all that it stands before, to see which law notices.
func (q *Queue) Break(script, was, is string) error {
	scripts, found := map[string]*redis.Script{}, false
	for name, s := range q.scripts {
		text, err := scriptText(name)
		if err != nil {
			return err
		}
		scripts[name] = s
		if (name == script || strings.HasSuffix(script, "common.lua")) && strings.Contains(text, was) {
			found = true
			scripts[name] = redis.NewScript(strings.ReplaceAll(text, was, is))
		}
	}
	if !found {
		return fmt.Errorf("%s has no %q", script, was)
	}
	q.scripts = scripts
	return nil
}

// Fresh gives the same queue with its first settings.
func (q *Queue) Fresh() *Queue {
	n := &Queue{Times: DefaultTimes(), rdb: q.rdb, prefix: q.prefix, scripts: q.scripts}
	n.checked.Store(true)
	return n
}

// Scripts gives the name of each script by its hash.
func (q *Queue) Scripts() map[string]string {
	names := map[string]string{}
	for name, s := range q.scripts {
		names[s.Hash()] = name
	}
	return names
}

// RolesOf gives the roles that call a script.
func RolesOf(script string) (roles []string) {
	for _, p := range parties() {
		if slices.Contains(p.scripts, script) {
			roles = append(roles, p.name)
		}
	}
	return roles
}
