package fly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	flygo "github.com/superfly/fly-go"
	"github.com/superfly/fly-go/flaps"

	"github.com/gigurra/flycd/shared/plan"
)

const (
	// commandChunk is how long one wait for the end of a command asks Fly to wait; logs are read in between.
	commandChunk = 5 * time.Second
	// lastLines is how many lines of a failed command's output are in its error.
	lastLines = 10
)

// runCommand runs a command in a machine of its own name, at most once: a machine that is there
// already, or was, is the one that counts, whoever made it and whatever became of it. Waiting for it
// takes longer than a write may, and changes nothing.
func (ch *Change) runCommand(ctx context.Context, s plan.RunCommand) error {
	if s.Name == "" || s.Config == nil {
		return reject(nil, fmt.Sprintf("run %s of %s: without a name or a config", s.Kind, ch.app))
	}
	e := &commandStart{ch: ch, want: s, group: s.Config.Metadata[flygo.MachineConfigMetadataKeyFlyProcessGroup]}
	// where Fly is not asked before, a run of an earlier attempt could be overlooked
	there, err := e.seen(ctx, true)
	if err == nil && !there {
		if e.config, err = ch.beside(s); err == nil {
			err = ch.bring(ctx, e)
		}
	}
	if err != nil {
		return err
	}
	r := &run{ch: ch, want: s, id: e.id}
	end, err := r.wait(ctx)
	if err != nil {
		return err
	}
	return r.judge(end)
}

// beside completes the config of a check with what only the machine says that it is about.
func (ch *Change) beside(s plan.RunCommand) (*flygo.MachineConfig, error) {
	config := *s.Config
	if s.Beside == "" {
		return &config, nil
	}
	m, ok := ch.named(s.Beside)
	if !ok || m.Config == nil {
		return nil, &problem{fmt.Sprintf("run %s of %s: machine %s, which it is about, does not exist; try again", s.Kind, ch.app, s.Beside), nil}
	}
	config.Image = cmp.Or(config.Image, m.Config.Image)
	if m.Config.Guest != nil {
		config.Guest = m.Config.Guest
	}
	// the machine's environment goes over the app's, and the command's own names over both, as flyctl has it
	env := maps.Clone(config.Env)
	if env == nil {
		env = map[string]string{}
	}
	own := map[string]string{"FLY_TEST_COMMAND": "1", "FLY_TEST_MACHINE_IP": m.PrivateIP}
	for _, name := range []string{"FLY_PROCESS_GROUP", "PRIMARY_REGION"} {
		if v, ok := env[name]; ok {
			own[name] = v
		}
	}
	maps.Copy(env, m.Config.Env)
	maps.Copy(env, own)
	config.Env = env
	return &config, nil
}

// commandStart makes the machine that the command runs in. It carries no lease: nobody updates it.
type commandStart struct {
	ch     *Change
	want   plan.RunCommand
	group  string
	config *flygo.MachineConfig
	// id is the machine's, once it is known.
	id string
}

func (e *commandStart) String() string {
	return fmt.Sprintf("run %s %s of %s", e.want.Kind, e.want.Name, e.ch.app)
}

func (e *commandStart) seen(ctx context.Context, fresh bool) (bool, error) {
	if !fresh {
		return e.id != "", nil
	}
	_, commands, err := e.ch.client.allMachines(ctx, e.ch.app, true)
	if err != nil {
		return false, err
	}
	// the oldest one of the name is the run
	for _, m := range slices.Backward(commands) {
		if m.Name == e.want.Name && m.ProcessGroup() == e.group {
			e.id = m.ID
			return true, nil
		}
	}
	return false, nil
}

func (e *commandStart) do(ctx context.Context) error {
	c := e.ch.client
	m, err := c.flaps.Launch(ctx, e.ch.app, flygo.LaunchMachineInput{
		Config: e.config, Region: e.want.Region, Name: e.want.Name, MinSecretsVersion: e.ch.minSecrets(),
	})
	if err == nil {
		e.id = m.ID
		return nil
	}
	if fateOf(ctx, err) != taken {
		return err
	}
	_, body := answerOf(err)
	for _, id := range machineID.FindAllString(string(body), 3) {
		m, merr := c.machine(ctx, e.ch.app, id)
		if merr == nil && m != nil && m.Name == e.want.Name && m.ProcessGroup() == e.group {
			e.id = m.ID
			return nil
		}
	}
	return err
}

// run is a command on its way.
type run struct {
	ch   *Change
	want plan.RunCommand
	id   string
	logs tail
}

func (r *run) String() string {
	return fmt.Sprintf("%s %s of %s", strings.ReplaceAll(r.want.Kind, "_", " "), r.want.Name, r.ch.app)
}

// wait waits for the end, reading the logs meanwhile. A command that takes longer than it may is ended. A look that
// fails counts for nothing; a caller who stops waiting leaves the command alone, and the next one finds it.
func (r *run) wait(ctx context.Context) (ending, error) {
	c := r.ch.client
	r.logs = tail{ch: r.ch, id: r.id}
	bound := ctx
	if r.want.Timeout > 0 {
		late := fmt.Errorf("it did not end within %s", r.want.Timeout)
		var cancel context.CancelFunc
		bound, cancel = atMost(ctx, r.want.Timeout, late)
		defer cancel()
	}
	for gone := 0; ; {
		m, err := r.look(bound)
		switch {
		case ctx.Err() != nil:
			return ending{}, fmt.Errorf("wait for %s: %w", r, context.Cause(ctx))
		case bound.Err() != nil:
			return ending{}, r.expire(ctx, context.Cause(bound))
		case err == nil && m == nil:
			// it may be too new or too long gone to be seen
			if gone++; gone > 3 && float64(gone)*c.options.Poll.Seconds() > c.options.Lag.Seconds() {
				return ending{over: true, state: "gone"}, r.logs.last(ctx)
			}
		case err == nil:
			gone = 0
			if end := endOf(m); end.over && (end.known || m.State != flygo.MachineStateDestroying) {
				return r.settle(ctx, end), r.logs.last(ctx)
			}
		}
		r.logs.more(bound)
		if err == nil && m != nil && c.flaps.Wait(bound, r.ch.app, r.id, flaps.WithWaitStates("destroyed", "stopped", "failed"),
			flaps.WithWaitTimeout(commandChunk)) == nil {
			continue
		}
		_ = sleep(bound, c.options.Poll) // its end is looked at above
	}
}

// look gives the machine, also one that is destroyed, or nil where Fly does not know it.
func (r *run) look(ctx context.Context) (*flygo.Machine, error) {
	c := r.ch.client
	m, err := c.flaps.Get(ctx, r.ch.app, r.id)
	if err == nil {
		return m, nil
	}
	if fateOf(ctx, err) != missing {
		return nil, err
	}
	_, commands, err := c.allMachines(ctx, r.ch.app, true)
	if err != nil {
		return nil, err
	}
	for _, m := range commands {
		if m.ID == r.id {
			return m.Machine, nil
		}
	}
	return nil, nil
}

// settle looks once more where an end is not explained: the exit may be told after the destruction.
func (r *run) settle(ctx context.Context, end ending) ending {
	c := r.ch.client
	for until := c.options.Now().Add(c.options.Lag); !end.known && c.options.Now().Before(until); {
		if sleep(ctx, c.options.Poll) != nil {
			break
		}
		if m, err := r.look(ctx); err == nil && m != nil {
			end = endOf(m)
		}
	}
	return end
}

// expire ends a command that takes too long: its machine is destroyed, so that nothing of it goes on.
func (r *run) expire(ctx context.Context, why error) error {
	err := r.ch.bring(ctx, &commandEnd{ch: r.ch, id: r.id, name: r.want.Name})
	if lerr := r.logs.last(ctx); lerr != nil {
		err = errors.Join(err, lerr)
	}
	return errors.Join(&problem{fmt.Sprintf("%s failed: %v, and was stopped%s", r, why, r.logs.quote()), []error{ErrUnproven}}, err)
}

// commandEnd destroys the machine of a command that takes too long.
type commandEnd struct {
	ch       *Change
	id, name string
}

func (e *commandEnd) String() string {
	return fmt.Sprintf("stop command %s (machine %s) of %s", e.name, e.id, e.ch.app)
}

func (e *commandEnd) seen(ctx context.Context, fresh bool) (bool, error) {
	if !fresh {
		return false, nil
	}
	m, err := e.ch.client.machine(ctx, e.ch.app, e.id)
	return err == nil && m == nil, e.ch.client.explain(ctx, "look at machine "+e.id, err)
}

func (e *commandEnd) do(ctx context.Context) error {
	err := e.ch.client.flaps.Destroy(ctx, e.ch.app, flygo.RemoveMachineInput{ID: e.id, Kill: true}, "")
	if err != nil && fateOf(ctx, err) == missing {
		return nil
	}
	return err
}
