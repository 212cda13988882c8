package deploy

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // the windows of a manifest name time zones, and a runner's image may know none

	"github.com/robfig/cron/v3"

	"github.com/gigurra/flycd/shared/job"
	"github.com/gigurra/flycd/shared/manifest"
)

// Later says that nothing is wrong, but that the app is not to be changed before a time. Whoever holds the
// job gives it back until then: it counts as no failed attempt and as no lost one. Deployer.Deploy
// returns it as an error.
type Later struct {
	// Until is when to try again.
	Until time.Time
	// Why is a sentence for people.
	Why string
}

func (l Later) Error() string { return l.Why }

// Opening says whether windows let an app be deployed at a time.
type Opening struct {
	Open bool
	// Next is when they do, where they do not: the zero time where they never will within a year.
	Next time.Time
	// Why says what keeps them closed.
	Why string
}

// OpeningAt decides as Argo CD does: while a deny window lasts, it is closed; while an allow window lasts,
// and no deny window, it is open; outside of all it is open unless there are allow windows. Without any
// window it is always open.
//
// A window begins whenever its schedule says so, by the clock on the wall of its time zone (UTC without
// one), and lasts for its duration, by the stopwatch. A beginning that a leap of the clock leaves out is
// at the leap; one that the clock shows twice begins a window both times.
//
// It is pure. The error wraps job.ErrRejected and names the key that is wrong.
func OpeningAt(windows []manifest.Window, now time.Time) (Opening, error) {
	all, err := parseWindows(windows)
	if err != nil {
		return Opening{}, err
	}
	o := Opening{Open: all.open(now)}
	if !o.Open {
		o.Why, o.Next = all.why(now), all.next(now)
	}
	return o, nil
}

// checkWindows lets an app through whose windows are open, or whose job a person asked for: that is worth
// a note. The error is Later, or a rejection where nothing will ever be open.
func checkWindows(app *manifest.App, j job.Job, now time.Time) (note string, err error) {
	o, err := OpeningAt(app.Sync.Windows, now)
	switch {
	case err != nil:
		return "", fmt.Errorf("app %s: %w", app.Name, err)
	case o.Open:
		return "", nil
	case j.ByHand():
		return "deployed by hand although " + o.Why, nil
	case o.Next.IsZero():
		return "", job.Rejectf("app %s: sync.windows: %s, and none opens within a year: change them, or deploy by hand", app.Name, o.Why)
	}
	return "", Later{Until: o.Next, Why: fmt.Sprintf("waits for its window: %s until %s", o.Why, o.Next.Format(time.RFC3339))}
}

// window is a parsed manifest.Window.
type window struct {
	manifest.Window
	deny     bool
	schedule cron.Schedule
	duration time.Duration
	zone     *time.Location
}

type windows []window

func parseWindows(list []manifest.Window) (windows, error) {
	var out windows
	for i, w := range list {
		bad := func(key, format string, args ...any) error {
			return job.Rejectf("sync.windows[%d].%s: %s", i, key, fmt.Sprintf(format, args...))
		}
		p := window{Window: w, deny: w.Kind == "deny", zone: time.UTC}
		var err error
		if w.Kind != "allow" && w.Kind != "deny" {
			return nil, bad("kind", "expected allow or deny, found %q", w.Kind)
		}
		if p.schedule, err = schedule(w.Schedule); err != nil {
			return nil, bad("schedule", "expected five fields as cron has them (minute hour day month weekday), such as \"0 22 * * 1-5\", found %q: %v", w.Schedule, err)
		}
		if w.Duration == nil || *w.Duration <= 0 {
			return nil, bad("duration", "expected how long the window lasts, such as 8h")
		}
		p.duration = time.Duration(*w.Duration)
		if p.zone, err = time.LoadLocation(w.Timezone); err != nil || w.Timezone == "Local" {
			return nil, bad("timezone", "expected a name such as Europe/Stockholm, found %q", w.Timezone)
		}
		out = append(out, p)
	}
	return out, nil
}

// schedule reads a cron line. A time zone in it would be a second one.
func schedule(line string) (cron.Schedule, error) {
	s, err := cron.ParseStandard(line)
	if err != nil {
		return nil, err
	}
	spec, ok := s.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("@every has no beginning")
	}
	if spec.Location != time.Local { //nolint:gosmopolitan // what the parser takes when the line names none
		return nil, fmt.Errorf("the time zone has a key of its own")
	}
	spec.Location = time.UTC
	return spec, nil
}

// open decides for one moment.
func (ws windows) open(at time.Time) bool {
	allowed := !slices.ContainsFunc(ws, func(w window) bool { return !w.deny })
	for _, w := range ws {
		if !w.lasts(at) {
			continue
		}
		if w.deny {
			return false
		}
		allowed = true
	}
	return allowed
}

// why says what keeps the windows closed at a moment.
func (ws windows) why(at time.Time) string {
	for _, w := range ws {
		if w.deny && w.lasts(at) {
			return fmt.Sprintf("the deny window %q (%s) lasts", w.Schedule, w.zone)
		}
	}
	return "no allow window lasts"
}

// The bounds of the search for the next opening.
const (
	searchYear  = 366 * 24 * time.Hour
	searchSteps = 5_000
)

// next gives the first moment after at that is open. It goes from one change to the next.
func (ws windows) next(at time.Time) time.Time {
	end := at.Add(searchYear)
	for range searchSteps {
		at = ws.change(at)
		if at.IsZero() || at.After(end) {
			return time.Time{}
		}
		if ws.open(at) {
			return at
		}
	}
	return time.Time{}
}

// change gives the first moment after at when a closed state may end: a deny window that lasts ends, or
// where none does, an allow window begins.
func (ws windows) change(at time.Time) time.Time {
	var first time.Time
	offer := func(t time.Time) {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	denied := slices.ContainsFunc(ws, func(w window) bool { return w.deny && w.lasts(at) })
	for _, w := range ws {
		switch {
		case denied && w.deny && w.lasts(at):
			offer(w.end(at))
		case !denied && !w.deny:
			offer(w.beginning(at))
		}
	}
	return first
}

// lasts reports whether a window that began lasts at a moment. Its end is outside.
func (w window) lasts(at time.Time) bool { return w.end(at).After(at) }

// end is when the window ends that began last, and lasts at that moment; the zero time where none does. It looks
// back step by step: where beginnings are many, the last one is near.
func (w window) end(at time.Time) time.Time {
	const further = 8
	for back := min(time.Hour, w.duration); ; back *= further {
		if back > w.duration/further {
			back = w.duration
		}
		var last time.Time
		for start := range w.beginnings(at.Add(-back)) {
			if start.After(at) {
				break
			}
			last = start
		}
		switch {
		case !last.IsZero():
			return last.Add(w.duration)
		case back == w.duration:
			return last
		}
	}
}

// beginning is the first one after a moment, the zero time where there is none.
func (w window) beginning(after time.Time) time.Time {
	for start := range w.beginnings(after) {
		return start
	}
	return time.Time{}
}

// leap is more than clocks on walls are set forward or back by.
const leap = 3 * time.Hour

// beginnings gives those after a moment, in their order. The schedule is asked for what the clock on the
// wall shows, as if that were UTC, and each answer is looked for in the time zone.
func (w window) beginnings(after time.Time) func(yield func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		// near a leap, later readings may be earlier moments: they are held back until all are known
		var held []time.Time
		for wall := w.schedule.Next(wallOf(after, w.zone).Add(-leap)); !wall.IsZero(); wall = w.schedule.Next(wall) {
			found, steady := moments(wall, w.zone)
			held = append(held, found...)
			if !steady {
				continue
			}
			slices.SortFunc(held, time.Time.Compare)
			for _, t := range slices.CompactFunc(held, time.Time.Equal) {
				if t.After(after) && !yield(t) {
					return
				}
			}
			held = held[:0]
		}
	}
}

// wallOf gives what the clock on the wall shows, as if it were UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	return t.UTC().Add(offset(t, zone))
}

func offset(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}

// moments are when the clock on the wall of a zone shows a time: twice where it was set back, and at the
// leap where it was set forward over it. steady says that it is not set near that time.
func moments(wall time.Time, zone *time.Location) (found []time.Time, steady bool) {
	about := wall.Add(-offset(wall, zone))
	before, after := offset(about.Add(-leap), zone), offset(about.Add(leap), zone)
	if before == after {
		return []time.Time{wall.Add(-before)}, true
	}
	for _, o := range []time.Duration{before, after} {
		if t := wall.Add(-o); offset(t, zone) == o {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		// read with the offset from before the leap, it is a moment after the leap
		start, _ := wall.Add(-before).In(zone).ZoneBounds()
		found = append(found, start.UTC())
	}
	return found, false
}
