package queue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The roles: who speaks to the server.
const (
	DispatcherRole = "dispatcher"
	RunnerRole     = "runner"
	// PersonRole is for the command line and for local mode: all moves, and looking at everything.
	PersonRole = "person"
)

// Role is what one part of FlyCD may do on a server that has ACLs: as much as its moves need, and no more. It is as
// good as the commands: whoever has a role's password can send them without the scripts.
type Role struct {
	Name string
	// Commands are as ACL rules name them, as hset or xgroup|create.
	Commands []string
	// Keys are patterns. All begin with the prefix.
	Keys []string
}

// Rules are the role's rules as ACL SETUSER takes them.
func (r Role) Rules() []string {
	var rules []string
	for _, k := range r.Keys {
		rules = append(rules, "~"+k)
	}
	for _, c := range r.Commands {
		rules = append(rules, "+"+c)
	}
	return rules
}

// Roles gives the roles for the keys of a prefix; an empty one is DefaultPrefix. They are read from the scripts that a
// role calls, and from a list of what it sends besides.
//
// A runner may call scripts that the server holds, and bring none of its own: one that never ends would stop the
// server. So somebody else calls LoadScripts before a runner comes.
func Roles(prefix string) []Role {
	var roles []Role
	for _, p := range parties() {
		roles = append(roles, p.role(prefix))
	}
	return roles
}

// role gives the rights for what the party calls.
func (p party) role(prefix string) Role {
	if prefix == "" {
		prefix = DefaultPrefix
	}
	r := Role{Name: p.name, Commands: p.commands, Keys: []string{glob(prefix)}}
	kinds := p.kinds
	var read []string
	for _, s := range p.scripts {
		// a test calls them all
		list, _ := scriptFiles(s)
		for _, f := range list {
			if slices.Contains(read, f) {
				continue
			}
			read = append(read, f)
			text, _ := files.ReadFile(f)
			r.Commands = append(r.Commands, scriptCommands(string(text))...)
			kinds = append(kinds, scriptKinds(s, string(text))...)
		}
	}
	for _, k := range kinds {
		if !slices.Contains(p.never, k) {
			r.Keys = append(r.Keys, pattern(prefix, k))
		}
	}
	if p.name == PersonRole {
		r.Keys = []string{glob(prefix) + "*"}
	}
	r.Commands, r.Keys = sorted(r.Commands), sorted(r.Keys)
	return r
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// pattern matches the keys of a kind: job: is all jobs, jobs is one key.
func pattern(prefix, kind string) string {
	if strings.HasSuffix(kind, ":") {
		return glob(prefix+kind) + "*"
	}
	return glob(prefix + kind)
}

// scriptCommands are the commands that a script sends.
func scriptCommands(text string) (list []string) {
	for _, m := range regexp.MustCompile(`(?:redis\.p?call\(|\{ )'([A-Z]{3,})'(?:, '([A-Z]+)')?`).FindAllStringSubmatch(text, -1) {
		name := strings.ToLower(m[1])
		if name == "xgroup" {
			name += "|" + strings.ToLower(m[2])
		}
		list = append(list, name)
	}
	return list
}

// scriptKinds are the kinds of keys that a script may touch.
func scriptKinds(name, text string) (list []string) {
	for _, m := range regexp.MustCompile(`P \.\. '([a-z:]+)`).FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	if strings.Contains(text, "P .. j.subject") {
		list = append(list, "app:", "config:", "plan:", "jobs", "jobs:low")
	}
	if name == "write.lua" {
		// it is told the keys of the routes
		list = append(list, "repo:", "image:")
	}
	return list
}

// ACL gives the arguments of the server's command ACL that makes, or makes anew, the user flycd-ROLE, who may do with
// the keys of the prefix what the role needs. They hold a hash of the password, which must be random: whoever reads
// them cannot log in.
func ACL(prefix, role, password string) ([]string, error) {
	if len(password) < 16 {
		return nil, errors.New("make redis user: the password needs 16 characters at least, made by chance")
	}
	for _, p := range parties() {
		if p.name == role {
			sum := sha256.Sum256([]byte(password))
			args := []string{"SETUSER", UserName(role), "reset", "on", "#" + hex.EncodeToString(sum[:])}
			return append(args, p.role(prefix).Rules()...), nil
		}
	}
	return nil, fmt.Errorf("make redis user: there is no role %q, but %s, %s and %s", role, DispatcherRole, RunnerRole, PersonRole)
}

// UserName is the name that ACL gives to a role's user.
func UserName(role string) string { return "flycd-" + role }

// LoadScripts puts the scripts that runners call on the server, where it does not hold them yet: one command where it
// does. A runner of RunnerRole needs them there, and a server that restarted has forgotten them.
func (q *Queue) LoadScripts(ctx context.Context) error {
	var names, hashes []string
	for _, p := range parties() {
		if p.name == RunnerRole {
			names = p.scripts
		}
	}
	for _, n := range names {
		hashes = append(hashes, q.scripts[n].Hash())
	}
	have, err := q.rdb.ScriptExists(ctx, hashes...).Result()
	if err != nil {
		return fmt.Errorf("look for scripts in redis: %w", err)
	}
	p := q.rdb.Pipeline()
	for i, n := range names {
		if i < len(have) && have[i] {
			continue
		}
		text, err := scriptText(n)
		if err != nil {
			return err
		}
		p.ScriptLoad(ctx, text)
	}
	if _, err := p.Exec(ctx); err != nil {
		return fmt.Errorf("load scripts into redis: %w", err)
	}
	return nil
}

// unloaded explains that a script is not there and that this user may not bring it.
func unloaded(cmd *redis.Cmd, script string) *redis.Cmd {
	if err := cmd.Err(); redis.HasErrorPrefix(err, "NOPERM") && strings.Contains(err.Error(), "'eval'") {
		cmd.SetErr(fmt.Errorf("redis does not hold the script %s, and this user may only call what is there; "+
			"the dispatcher loads the scripts when it launches or is asked for a grant: %w", script, err))
	}
	return cmd
}
