package queue

import "slices"

// party is what one part of FlyCD calls.
type party struct {
	name    string
	scripts []string
	// commands are those that it sends itself, on the keys of these kinds beside those of the scripts.
	commands, kinds []string
	// never are kinds that its scripts name, and do not touch when it calls them.
	never []string
}

func parties() []party {
	dispatcher := party{
		name: DispatcherRole,
		scripts: []string{
			"schema.lua",
			// a webhook, /next, /grant
			"routes.lua", "images.lua", "push.lua", "due.lua", "take.lua", "bury.lua", "unlaunch.lua", "grant.lua",
			// a sweep
			"lapse.lua", "suspect.lua", "entry.lua", "tombstones.lua",
			// feedback
			"outbox_feed.lua", "outbox_take.lua", "outbox_done.lua", "outbox_fail.lua", "outbox_due.lua",
		},
		commands: slices.Concat(connection(), looking(), []string{"eval", "script|load", "script|exists", "info"}),
		kinds:    []string{"log:", "includes:", "suspended"},
	}
	runner := party{
		name: RunnerRole,
		scripts: []string{
			"schema.lua",
			// a job
			"claim.lua", "hold.lua", "retry.lua", "finish.lua", "giveback.lua", "append.lua", "turn.lua", "unturn.lua",
			// a sync
			"entry.lua", "routes.lua", "begin.lua", "write.lua", "includes.lua", "switch.lua", "saw.lua", "push.lua",
			"gone.lua", "tombstones.lua", "destroyed.lua",
		},
		commands: slices.Concat(connection(), looking(), []string{"hdel", "unlink", "time"}),
		// its pushes are no deliveries
		never: []string{"delivery:"},
	}
	person := party{
		name: PersonRole,
		scripts: slices.Concat(dispatcher.scripts, runner.scripts, []string{
			"enter.lua", "cancel.lua", "suspend.lua", "resume.lua", "audit.lua", "outbox_audit.lua",
		}),
		commands: slices.Concat(dispatcher.commands, runner.commands, []string{"hset", "scan"}),
	}
	return []party{dispatcher, runner, person}
}

// connection are the commands of every connection. AUTH, HELLO and QUIT need no right.
func connection() []string { return []string{"ping", "select", "evalsha"} }

// looking are the commands that read what the moves keep.
func looking() []string {
	return []string{
		"get", "hget", "hgetall", "hmget", "hscan", "hvals", "xrange", "xrevrange", "xlen", "zrange", "zcard",
	}
}
