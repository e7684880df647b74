package rules

// A replay: what was decided at a place of the input is known, and is done again
// without asking.

// force lets what was decided at this place of the input happen again. Nothing
// is emitted.
func (sp *stepper) force(decided []Decided) {
	for i := range decided {
		sp.forceOne(&decided[i])
	}
}

func (sp *stepper) forceOne(d *Decided) {
	rule := nameID("rule", d.Rule)
	i := sp.st.indexOf(rule, d.Instance)
	if e := sp.env.Event; i >= 0 && e != nil && d.TriggerID == e.ID && sp.st.instances[i].Trigger.ID != e.ID {
		// A firing of the event itself, not of what was pending.
		i = -1
	}
	if i >= 0 {
		sp.st.remove(i)
		sp.out.Changed = true
	}
	if d.Outcome != Sent && d.Outcome != ControlArm {
		return
	}
	if r := sp.set.rules[rule]; r != nil && r.Cooldown > 0 {
		sp.st.setLastSent(r.ID, d.At)
		sp.out.Changed = true
	}
}
