package rules

import (
	"slices"
	"strings"
)

// start starts or restarts an instance of the rule if the event matches it.
// What is to fire at once is put into the queue.
func (sp *stepper) start(r *Rule, p *plan, e *Event) {
	paused := sp.pauses(r)
	if r.Schedule != nil || paused && r.beginsWithSend() || !sp.ask(r.Where) {
		return
	}
	key := ""
	if r.Key != nil {
		text, ok := r.Key(&sp.env).Text()
		if !ok || len(text) > MaxKeyLen {
			sp.out.Missing++
			return
		}
		key = text
	}
	pending := sp.st.indexOf(r.ID, key)
	if pending >= 0 && !r.Restart {
		return
	}
	if pending < 0 && !r.isOneSend() && sp.crowded() || pending >= 0 && sp.heavy() {
		sp.out.Refused++
		return
	}
	sp.fresh = append(sp.fresh, fresh{Instance: Instance{rule: r.ID, Key: key, Trigger: sp.triggerOf(p, e)}, place: len(sp.st.instances)})
	in := &sp.fresh[len(sp.fresh)-1].Instance
	arrived := sp.begin(r, in, pending >= 0, e.Time)
	if arrived == fires && !paused && pending < 0 {
		sp.push(r, in, freshHandle(len(sp.fresh)-1), true)
		return
	}
	sp.fresh = sp.fresh[:len(sp.fresh)-1]
	if arrived == ends {
		return
	}
	sp.keep(r, in, e)
	if pending >= 0 {
		sp.st.instances[pending] = *in
		sp.unqueue(pending)
	} else {
		pending = len(sp.st.instances)
		sp.st.instances = append(sp.st.instances, *in)
	}
	if arrived == fires && !paused {
		sp.push(r, in, pending, true)
	} else if sp.out.Verbose && !sp.replay {
		sp.emit(Armed, r, in, e.Time)
	}
}

// pauses says that the rule's instances do not fire. In a replay what fired is
// told, whether the rule has been paused since or not; unless only sends are told,
// when what did not send is decided again by the rules as they are.
func (sp *stepper) pauses(r *Rule) bool { return r.Paused && (!sp.replay || sp.sends) }

// begin brings an instance to the first op of its program, started by the event
// at hand.
func (sp *stepper) begin(r *Rule, in *Instance, pending bool, t int64) arrival {
	sp.env.Trigger, sp.env.started = &in.Trigger, true
	arrived := ends
	if !pending || !r.beginsWithSend() || sp.triggers(r, in) {
		arrived = sp.enter(r, in, 0, t)
	}
	sp.env.Trigger, sp.env.started = nil, false
	return arrived
}

// triggers says whether a rule that begins with a send takes the event for a
// trigger: if its condition does not hold, what is pending stays as it is.
func (sp *stepper) triggers(r *Rule, in *Instance) bool {
	if sp.replay && !sp.sends {
		return sp.named(r, in) >= 0
	}
	return sp.ask(r.When)
}

// crowded says that the user has as many pending instances as are allowed.
func (sp *stepper) crowded() bool {
	n := len(sp.st.instances)
	if n < sp.set.MaxPending {
		return sp.heavy()
	}
	if sp.ended {
		for i := range sp.st.instances {
			if sp.st.instances[i].Pos == over {
				n--
			}
		}
	}
	return n >= sp.set.MaxPending
}

// heavy says that the user's pending instances keep as much as is allowed.
func (sp *stepper) heavy() bool {
	size := 0
	for i := range sp.st.instances {
		in := &sp.st.instances[i]
		size += len(in.Key) + len(in.Trigger.ID) + len(in.Trigger.typ) + len(in.Trigger.Trace)
		for j := range in.Trigger.Fields {
			size += len(in.Trigger.Fields[j].Value.str)
		}
	}
	return size >= sp.set.MaxPendingBytes
}

// triggerOf notes the triggering event, without its fields. Its strings still
// point into the event.
func (sp *stepper) triggerOf(p *plan, e *Event) Trigger {
	t := Trigger{ID: e.ID, Time: e.Time, Partition: e.Partition, Offset: e.Offset, Trace: e.Trace, typeID: p.typeID}
	if p.typeID == 0 {
		t.typ = e.Type
	}
	return t
}

// keepFresh puts what has fired and stays among the pending instances, where it
// was started.
func (sp *stepper) keepFresh(e *Event) {
	kept := 0
	for i := range sp.fresh {
		f := &sp.fresh[i]
		if !f.stays {
			continue
		}
		sp.keep(sp.set.rules[f.rule], &f.Instance, e)
		sp.st.instances = slices.Insert(sp.st.instances, f.place+kept, f.Instance)
		kept++
	}
}

// keep gives the instance what its rule reads of the triggering event, and makes
// it independent of that.
func (sp *stepper) keep(r *Rule, in *Instance, e *Event) {
	in.Key = strings.Clone(in.Key)
	t := &in.Trigger
	t.ID, t.typ, t.Trace = strings.Clone(t.ID), strings.Clone(t.typ), strings.Clone(t.Trace)
	for _, slot := range r.TriggerSlots {
		if v := e.Field(slot); v.Present() {
			v.str = strings.Clone(v.str)
			t.Fields = append(t.Fields, TriggerField{sp.set.fieldIDs[slot], v})
		}
	}
}
