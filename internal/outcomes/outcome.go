package outcomes

// Outcome is what became of one exposed user.
type Outcome struct {
	Unit        int32
	Arm         int32
	Exposed     int64
	Conversions int     // goal events within the window
	First       int64   // time of the first of them, 0 if there is none
	Value       float64 // their values together
	Sends       int     // messages within the window, the one that exposed included
	Mature      bool    // the window has passed
}

// HitsUntil counts the exposed users of whom a guardrail had told by at, by
// guardrail and arm.
func (c *Cohort) HitsUntil(at int64) map[string]map[string]int {
	out := map[string]map[string]int{}
	for _, h := range c.Hits {
		u := c.Units[h.Unit]
		if h.At > at || u.Exposed > at {
			continue
		}
		byArm := out[h.Guardrail]
		if byArm == nil {
			byArm = map[string]int{}
			out[h.Guardrail] = byArm
		}
		byArm[c.Arms[u.Arm]]++
	}
	return out
}

// Tally is what Outcomes met besides.
type Tally struct {
	Unexposed int // users with a conversion whose exposure is not in the data
	Outside   int // conversions before the exposure, or after its window
	Mixed     int // users who were seen in more than one arm; the first counts
}

// Outcomes works out what became of each exposed user, in the order of the
// units. within is the goal's window in ms, 0 if it is not known: then every
// conversion after the exposure counts and everybody is mature. A user is mature
// when exposed + within <= at. What happened after at is left out.
func (c *Cohort) Outcomes(within, at int64) ([]Outcome, Tally) {
	out := make([]Outcome, len(c.Units))
	var t Tally
	for i, u := range c.Units {
		out[i] = Outcome{Unit: int32(i), Arm: u.Arm, Exposed: u.Exposed}
		if u.Exposed == Unexposed {
			t.Unexposed++
			continue
		}
		if u.Exposed > at {
			out[i].Exposed = Unexposed
			continue
		}
		out[i].Mature = within == 0 || u.Exposed+within <= at
		if u.Mixed {
			t.Mixed++
		}
	}
	inWindow := func(o *Outcome, t int64) bool { return within == 0 || t-o.Exposed <= within }
	for _, s := range c.Sends {
		if o := &out[s.Unit]; s.At >= o.Exposed && s.At <= at && inWindow(o, s.At) {
			o.Sends++
		}
	}
	for _, v := range c.Conversions {
		o := &out[v.Unit]
		if o.Exposed == Unexposed || v.At > at {
			continue
		}
		if v.At <= o.Exposed || !inWindow(o, v.At) {
			t.Outside++
			continue
		}
		o.Conversions++
		o.Value += v.Value
		if o.First == 0 || v.At < o.First {
			o.First = v.At
		}
	}
	kept := out[:0]
	for _, o := range out {
		if o.Exposed != Unexposed {
			kept = append(kept, o)
		}
	}
	return kept, t
}
