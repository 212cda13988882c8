package queue

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Schema is the version of the public layout of keys that this program speaks.
const Schema = "1"

// DefaultPrefix begins every key unless another one is given.
const DefaultPrefix = "flycd:"

// Errors that callers branch on.
var (
	// ErrRefused comes from Claim: the job is not launching at that attempt. Exit 0.
	ErrRefused = errors.New("claim refused")
	// ErrLost comes from Finish, GiveBack and Retry: another attempt has the job by now. Whatever
	// the caller knows of it is stale.
	ErrLost = errors.New("claim lost")
	// ErrUnknown comes from looking up a job that is not there: never pushed, or tidied up.
	ErrUnknown = errors.New("unknown job")
	// ErrSchema comes from Ping and from every method that changes something, when the server holds another
	// version of the layout.
	ErrSchema = errors.New("redis holds another version of FlyCD's layout")
)

//go:embed lua/*.lua
var files embed.FS

// Queue is the one door to Redis. It is safe to share; it makes no connection before its first
// command. Change its fields only before the first use.
type Queue struct {
	// Times are the deadlines and limits that the scripts are given.
	Times Times
	// Seal makes Take and TakeMany hand jobs out sealed: such an attempt can only be claimed by the machine that
	// Grant lets in, whatever else knows the job's id.
	Seal bool

	rdb     *redis.Client
	prefix  string
	scripts map[string]*redis.Script
	checked atomic.Bool
}

// Open reads a redis:// or rediss:// URL. An empty prefix is DefaultPrefix; on a Redis cluster it
// is "{flycd}:", as scripts touch several keys. No connection is made.
func Open(url, prefix string) (*Queue, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		// The text of the parser's error may hold the password.
		return nil, errors.New("REDIS_URL: expected redis://[user:password@]host:port[/db], rediss://… or unix://…")
	}
	// Its lines would go to stderr, beside the error that the caller gets anyway.
	logging.Disable()
	// Upstash cuts idle connections.
	o.ConnMaxIdleTime = 40 * time.Second
	// An answer that got lost may be asked for again: every script is safe to repeat.
	o.MaxRetries = 2
	// A server that says nothing must not hold a caller beyond its deadline.
	o.ContextTimeoutEnabled = true
	// Commands are billed: none of them is about the connection itself.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if prefix == "" {
		prefix = DefaultPrefix
	}
	scripts, err := load()
	if err != nil {
		return nil, err
	}
	return &Queue{Times: DefaultTimes(), rdb: redis.NewClient(o), prefix: prefix, scripts: scripts}, nil
}

// load reads every script.
func load() (map[string]*redis.Script, error) {
	list, err := files.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	scripts := map[string]*redis.Script{}
	for _, f := range list {
		text, err := scriptText(f.Name())
		if err != nil {
			return nil, err
		}
		scripts[f.Name()] = redis.NewScript(text)
	}
	return scripts, nil
}

// scriptText is a script as the server gets it.
func scriptText(name string) (string, error) {
	list, err := scriptFiles(name)
	var text strings.Builder
	for _, f := range list {
		body, readErr := files.ReadFile(f)
		err = errors.Join(err, readErr)
		text.Write(body)
	}
	return text.String(), err
}

// scriptFiles are the files that a script is made of: its own after common.lua and end_common.lua, or after
// outbox_common.lua, unless it names the prefix itself.
func scriptFiles(name string) ([]string, error) {
	own, library := "lua/"+name, []string{"lua/common.lua", "lua/end_common.lua"}
	if strings.HasPrefix(name, "outbox_") {
		library = []string{"lua/outbox_common.lua"}
	}
	body, err := files.ReadFile(own)
	if err != nil || strings.Contains(string(body), "\nlocal P = KEYS[1]\n") {
		return []string{own}, err
	}
	return append(library, own), nil
}

// Close ends the connections.
func (q *Queue) Close() error { return q.rdb.Close() }

// Prefix is what every key begins with.
func (q *Queue) Prefix() string { return q.prefix }

// Ping reports whether the server answers and speaks this layout.
func (q *Queue) Ping(ctx context.Context) error {
	if err := q.rdb.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("ping redis: %w", err)
	}
	return q.check(ctx)
}

// check compares the layout's version, once.
func (q *Queue) check(ctx context.Context) error {
	if q.checked.Load() {
		return nil
	}
	have, err := unloaded(q.scripts["schema.lua"].Run(ctx, q.rdb, []string{q.prefix}, Schema), "schema.lua").Text()
	if err != nil {
		return fmt.Errorf("read redis schema: %w", err)
	}
	if have != Schema {
		return fmt.Errorf("%w: %sschema is %q, this program speaks %q: use the FlyCD that wrote it, or another FLYCD_REDIS_PREFIX",
			ErrSchema, q.prefix, have, Schema)
	}
	q.checked.Store(true)
	return nil
}

// run calls a script. Every key is made from the prefix inside it.
func (q *Queue) run(ctx context.Context, script string, args ...any) *redis.Cmd {
	if err := q.check(ctx); err != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(err)
		return cmd
	}
	return unloaded(q.scripts[script].Run(ctx, q.rdb, []string{q.prefix}, args...), script)
}

func (q *Queue) key(kind, name string) string { return q.prefix + kind + ":" + name }
