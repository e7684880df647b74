package rulefile

import (
	"slices"
	"strings"
	"time"

	"github.com/nudged/nudged/rules"
)

// schedule reads when a rule starts by itself, and for whom.
func (c *compiler) schedule(n *node, audience *node, owner string) *rules.Schedule {
	s := &rules.Schedule{}
	if audience != nil {
		s.Audience, s.AudienceName = c.audienceOf(audience)
	}
	o, ok := c.object(n, scheduleKeys)
	if !ok {
		return nil
	}
	zone := time.UTC
	if z := o.get("timezone"); z != nil {
		if zone = c.zone(z, "timezone"); zone == nil {
			return nil
		}
	}
	at, cron := o.get("at"), o.get("cron")
	switch {
	case at != nil && cron != nil:
		c.add(o.keyAt("cron"), "keep one of the two; for both write two rules", "the schedule has both at and cron")
	case at != nil:
		s.Next = c.once(at, zone)
	case cron != nil:
		s.Next = c.recurring(cron, zone)
	default:
		c.add(o.at, `add at: "2026-11-27T09:00" or cron: "0 9 * * *"`, "the schedule of %s has neither at nor cron", owner)
	}
	return s
}

// audienceOf reads the audience of a rule: the name of one, or a condition.
func (c *compiler) audienceOf(n *node) (rules.Cond, string) {
	if n.kind == scalarNode && isIdentifier(n.scalar.text) && !n.literal.Present() && !slices.Contains(keywords, n.scalar.text) {
		name := n.scalar.text
		a := c.audiences[name]
		if a == nil {
			names := make([]string, 0, len(c.audiences))
			for known := range c.audiences {
				names = append(names, known)
			}
			c.add(n.at, didYouMean(name, names, "audiences"), "no audience is called %s", name)
			return nil, name
		}
		c.openAudience(a)
		return a.cond, name
	}
	return c.condition(n, "audience", &scope{
		noEvent:   "an audience is asked of every user, without an event: write user.… or the name of a metric",
		noTrigger: "an audience is asked of every user, without an event: write user.… or the name of a metric",
		noKeyed:   "an audience is asked without an event",
	}), strings.TrimSpace(n.scalar.text)
}

var localForms = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}

// once reads the local time of a schedule that happens once.
func (c *compiler) once(n *node, zone *time.Location) func(int64) (int64, bool) {
	if n.kind != scalarNode {
		c.wrongKind(n, `write a local time: at: "2026-11-27T09:00"`, "at")
		return nil
	}
	text := n.scalar.text
	for _, form := range localForms {
		wall, err := time.Parse(form, text)
		if err != nil || wall.Year() < 1970 {
			continue
		}
		at := instantOf(wall, zone).UnixMilli()
		return func(t int64) (int64, bool) { return at, t < at }
	}
	wayOut := `write a local time: at: "2026-11-27T09:00"`
	if _, err := time.Parse(time.RFC3339, text); err == nil {
		wayOut = `leave the offset out and name the zone: at: "` + text[:16] + `", timezone: Asia/Seoul`
	}
	c.add(n.at, wayOut, "at: %q is no local time", text)
	return nil
}

// longestOffset is farther from UTC than any zone ever was.
const longestOffset = 26 * time.Hour

// instantOf returns when a zone's clocks show the wall time, given as UTC. Of two
// instants it is the first. A time that the clocks skip is counted on from the
// offset before: 02:30 in a gap of an hour is the instant at which they show 03:30.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-longestOffset).In(zone).Zone()
	for at := wall.Add(-longestOffset).In(zone); ; {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		shown := wall.Add(-time.Duration(offset) * time.Second)
		if !start.IsZero() && shown.Before(start) {
			return wall.Add(-time.Duration(before) * time.Second)
		}
		if end.IsZero() || shown.Before(end) {
			return shown
		}
		at, before = end, offset
	}
}

// wallOf is what the zone's clocks show at the instant, as UTC.
func wallOf(at time.Time, zone *time.Location) time.Time {
	_, offset := at.In(zone).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}
