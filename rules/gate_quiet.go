package rules

import "time"

// gateQuietHours holds back a message while it is night where the user is, or
// defers it to the end of that.
func gateQuietHours(f *firing) Outcome {
	class := f.op.Send.Class
	for i := range f.set.Policy.Quiet {
		q := &f.set.Policy.Quiet[i]
		if !concerns(q.Class, class) {
			continue
		}
		zone := f.zone(q)
		local := localTime(f.at, zone)
		if !q.hold(local) || f.nightConsent(class) {
			continue
		}
		f.note("local_time", StringValue(clockText(local)))
		f.note("timezone", StringValue(zone.String()))
		if q.Skip || f.env.started && f.rule.isOneSend() && f.crowded() {
			if !q.Skip {
				f.out.Refused++
			}
			return Quiet
		}
		f.until = nextLocal(f.at, int64(q.To)*minuteMS, zone)
		f.note("until", TimeValue(f.until))
		return Deferred
	}
	return pass
}

// nightConsent says that the user has agreed to messages at night.
func (f *firing) nightConsent(class string) bool {
	for i := range f.set.Policy.Consent {
		c := &f.set.Policy.Consent[i]
		if c.Night == nil || !concerns(c.Class, class) {
			continue
		}
		if v := f.env.Attribute(c.Night); v.Kind == Bool && v.Bool() {
			return true
		}
	}
	return false
}

// zone returns where the user is, as far as known.
func (f *firing) zone(q *QuietHours) *time.Location {
	if f.set.Zone == nil {
		return time.UTC
	}
	if q.Timezone != nil {
		if v := q.Timezone(&f.env); v.Kind == String {
			if zone := f.set.Zone(v.Str()); zone != nil {
				return zone
			}
			f.out.Missing++
		}
	}
	if zone := f.set.Zone(q.Default); zone != nil {
		return zone
	}
	return time.UTC
}

const (
	minuteMS = 60_000
	dayMS    = 24 * 60 * minuteMS
)

// hold says whether the local time of day, ms, lies in the quiet hours.
func (q *QuietHours) hold(local int64) bool {
	from, to := int64(q.From)*minuteMS, int64(q.To)*minuteMS
	if from < to {
		return local >= from && local < to
	}
	return local >= from || local < to
}

// localTime returns the time of day at t in the zone, ms since midnight as the
// clocks there show it.
func localTime(t int64, zone *time.Location) int64 {
	return localAt(t, offsetAt(t, zone))
}

func localAt(t, offset int64) int64 {
	local := (t + offset) % dayMS
	if local < 0 {
		local += dayMS
	}
	return local
}

// offsetAt is how far the zone is ahead of UTC at t, ms.
func offsetAt(t int64, zone *time.Location) int64 {
	_, seconds := time.UnixMilli(t).In(zone).Zone()
	return int64(seconds) * 1000
}

// nextLocal returns the first instant after t at which the clocks of the zone
// show the time of day, or at which they are set forward over it.
func nextLocal(t, timeOfDay int64, zone *time.Location) int64 {
	// Each turn goes to the next change of the clocks; there is at most one in two
	// days anywhere, so that a handful is more than ever needed.
	for range 8 {
		offset := offsetAt(t, zone)
		ahead := timeOfDay - localAt(t, offset)
		if ahead <= 0 {
			ahead += dayMS
		}
		_, changes := time.UnixMilli(t).In(zone).ZoneBounds()
		if changes.IsZero() || t+ahead < changes.UnixMilli() {
			return t + ahead
		}
		change := changes.UnixMilli()
		jump := offsetAt(change, zone) - offset
		// What the clocks would have shown, and what they show instead.
		if skipped := timeOfDay - localAt(change, offset); jump > 0 && (skipped+dayMS)%dayMS <= jump {
			return change
		}
		if localTime(change, zone) == timeOfDay {
			return change
		}
		t = change
	}
	return t
}

// clockText writes a time of day as 23:05.
func clockText(local int64) string {
	return time.UnixMilli(local).UTC().Format("15:04")
}
