package rulefile

import (
	"regexp"
	"strings"
	"time"

	"github.com/adhocore/gronx"
)

const cronForm = `write five fields: minute hour day-of-month month weekday, such as "0 9 * * MON-FRI"`

// cronFields are the fields of a cron expression, and what a part of one may
// look like.
var cronFields = [...]struct {
	name string
	part *regexp.Regexp
}{
	{"minute", regexp.MustCompile(`^(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?$`)},
	{"hour", regexp.MustCompile(`^(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?$`)},
	{"day of month", regexp.MustCompile(`^(\*|\d{1,2}(-\d{1,2})?)(/\d{1,2})?$|^L$|^([1-9]|[12]\d|3[01])W$`)},
	{"month", regexp.MustCompile(`^(\*|(\d{1,2}|[A-Z]{3})(-(\d{1,2}|[A-Z]{3}))?)(/\d{1,2})?$`)},
	{"weekday", regexp.MustCompile(`^(\*|(\d|[A-Z]{3})(-(\d|[A-Z]{3}))?)(/\d)?$|^([0-6]|[A-Z]{3})(#[1-5]|L)$`)},
}

// cronEpoch is where the search for the first occurrence begins when an
// expression is checked.
var cronEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// recurring reads a cron expression.
func (c *compiler) recurring(n *node, zone *time.Location) func(int64) (int64, bool) {
	text, ok := c.text(n, "cron")
	if !ok {
		return nil
	}
	fields := strings.Fields(strings.ToUpper(text))
	if len(fields) != len(cronFields) {
		c.add(n.at, cronForm, "cron: %q is not five fields", text)
		return nil
	}
	for i, field := range fields {
		for part := range strings.SplitSeq(field, ",") {
			if !cronFields[i].part.MatchString(part) || !cronPart(part, i+1) {
				c.add(n.at, cronForm, "cron: %q is no %s", part, cronFields[i].name)
				return nil
			}
		}
	}
	r := recurrence{expression: strings.Join(fields, " "), zone: zone}
	if _, ok := r.next(cronEpoch); !ok {
		c.add(n.at, "check the day and the month", "cron: %q never happens", text)
		return nil
	}
	return func(t int64) (int64, bool) {
		at, ok := r.next(time.UnixMilli(t))
		return at.UnixMilli(), ok
	}
}

// cronPart tells whether the library takes a part of a field. It is asked part
// by part, because a field that matches in its first part is not read on.
func cronPart(part string, position int) bool {
	segments, err := gronx.Segments(strings.Join([]string{part, "*", "*", "*", "*"}, " "))
	if err != nil {
		return false
	}
	checker := &gronx.SegmentChecker{}
	checker.SetRef(cronEpoch)
	_, err = checker.CheckDue(segments[1], position)
	return err == nil
}

// recurrence is a cron expression in a zone. The expression is asked for wall
// times alone, so that the library sees no clock change.
type recurrence struct {
	expression string
	zone       *time.Location
}

// next returns the first occurrence after t. A wall time that the clocks show
// twice happens the first time; one that they skip happens by the clock before.
func (r recurrence) next(t time.Time) (time.Time, bool) {
	wall := wallOf(t, r.zone)
	// Right after the clocks went forward, skipped wall times are still to come.
	if start, _ := t.In(r.zone).ZoneBounds(); !start.IsZero() {
		_, before := start.Add(-1).In(r.zone).Zone()
		if earlier := t.UTC().Add(time.Duration(before) * time.Second); earlier.Before(wallOf(start, r.zone)) && earlier.Before(wall) {
			wall = earlier
		}
	}
	var best time.Time
	for {
		next, err := gronx.NextTickAfter(r.expression, wall, false)
		if err != nil || !next.After(wall) {
			return best, !best.IsZero()
		}
		wall = next
		at := instantOf(wall, r.zone)
		if at.After(t) && (best.IsZero() || at.Before(best)) {
			best = at
		}
		if !best.IsZero() && wallOf(at, r.zone).Equal(wall) {
			// No skipped time: all later wall times are later instants.
			return best, true
		}
	}
}
