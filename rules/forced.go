package rules

import "strings"

// A replay: what was decided at a place of the input is known, and is done again
// without asking. Nothing is emitted.

// endAgain ends what the event ended then, before it starts anything.
func (sp *stepper) endAgain(decided []Decided) {
	sp.decided, sp.done = decided, append(sp.done[:0], make([]bool, len(decided))...)
	for i := range decided {
		switch d := &decided[i]; d.Outcome {
		case Cancelled, RuleRemoved:
			sp.done[i] = true
			if at := sp.st.indexOf(nameID("rule", d.Rule), d.Instance); at >= 0 {
				sp.end(&sp.st.instances[at])
			}
		case Converted:
			sp.done[i] = true
			sp.convertAgain(d)
		case GuardrailHit:
			sp.done[i] = true
			sp.guardAgain(d)
		}
	}
}

func (sp *stepper) convertAgain(d *Decided) {
	x := sp.experimentOf(d)
	for i := range sp.st.exposures {
		if e := &sp.st.exposures[i]; x != nil && e.experiment == x.id && e.phase == phaseOf(d, x) && !e.over {
			e.converted = true
		}
	}
}

func (sp *stepper) experimentOf(d *Decided) *Experiment {
	if d.Experiment == "" {
		return nil
	}
	return sp.set.experiments[nameID("experiment", d.Experiment)]
}

func phaseOf(d *Decided, x *Experiment) int {
	if d.Phase == 0 {
		return x.Phase
	}
	return d.Phase
}

// named returns which decision was made of the instance where it stands, -1 for
// none.
func (sp *stepper) named(r *Rule, in *Instance) int {
	step := 0
	if op := r.nextSend(in.Pos); op != nil {
		step = op.Step
	}
	for i := range sp.decided {
		d := &sp.decided[i]
		if !sp.done[i] && d.Outcome != Armed && d.Rule == r.Name && d.Instance == in.Key && d.Step == step && d.TriggerID == in.Trigger.ID {
			return i
		}
	}
	return -1
}

// fireAgain does what was decided when the event at hand made the instance fire.
// One that was not named has decided nothing: of a rule that begins with a send
// the trigger was none, another one waits for its turn.
func (sp *stepper) fireAgain(r *Rule, in *Instance, silent bool) arrival {
	i := sp.named(r, in)
	switch {
	case i >= 0:
	case sp.sends:
		return sp.judgeAgain(r, in)
	case silent:
		return ends
	default:
		return stands
	}
	sp.done[i] = true
	return sp.force(r, in, &sp.decided[i])
}

// judgeAgain works out what became of a firing that did not send.
func (sp *stepper) judgeAgain(r *Rule, in *Instance) arrival {
	outcome := sp.judge(r, in, in.Due)
	if outcome == Sent {
		outcome = Expired // nothing went out: what follows is as for a step held back
	}
	sp.firing.takeEffect(outcome)
	return sp.goOn(r, in, outcome)
}

// force lets an instance that stands at a send take the outcome that was
// recorded.
func (sp *stepper) force(r *Rule, in *Instance, d *Decided) arrival {
	sp.firing = firing{stepper: sp, rule: r, op: &r.Program[in.Pos], in: in, at: d.At}
	f := &sp.firing
	sp.effectOf(d)
	sp.out.Changed = true
	switch x := r.Experiment; d.Outcome {
	case Sent:
		in.sent = true
		if x != nil && d.Arm != "" {
			in.run = assignment{x.id, phaseOf(d, x), strings.Clone(d.Arm)}
		}
	case Deferred:
		// Until when is not recorded: it follows from what was known then, and the
		// quiet hours of today.
		if gateQuietHours(f) != Deferred {
			f.until = d.At
		}
	}
	return sp.goOn(r, in, d.Outcome)
}

func (sp *stepper) effectOf(d *Decided) {
	x := sp.experimentOf(d)
	e := effect{rule: nameID("rule", d.Rule), outcome: d.Outcome, at: d.At, channel: d.Channel, class: d.Class, experiment: x, arm: d.Arm, watched: d.First}
	if x != nil {
		e.phase = phaseOf(d, x)
	}
	sp.takeEffect(e)
}

// forceRest moves what decisions moved whose instance the event at hand does not
// make fire under the rules of today.
func (sp *stepper) forceRest() {
	for i := range sp.decided {
		if !sp.done[i] {
			sp.forceOne(&sp.decided[i], sp.env.Event.ID)
		}
	}
}

// advanceAgain does what the clock decided then.
func (sp *stepper) advanceAgain(decided []Decided) {
	sp.byClock = true
	for i := range decided {
		sp.forceOne(&decided[i], "")
	}
}

// forceOne lets the pending instance that a decision names take its outcome. A
// decision on a run that the event at hand has only just begun concerns none.
func (sp *stepper) forceOne(d *Decided, begunBy string) {
	r := sp.set.rules[nameID("rule", d.Rule)]
	at := sp.st.indexOf(nameID("rule", d.Rule), d.Instance)
	if at < 0 && r != nil {
		at = sp.sweptAgain(r, d)
	}
	if at >= 0 && begunBy != "" && d.TriggerID == begunBy && sp.st.instances[at].Trigger.ID != begunBy {
		at = -1
	}
	if at < 0 {
		sp.effectOf(d)
		return
	}
	in := &sp.st.instances[at]
	if d.Outcome == Armed {
		return
	}
	pos := -1
	if r != nil && d.Outcome != RuleRemoved && d.Outcome != Cancelled {
		pos = r.sendOf(d.Step)
	}
	if pos < 0 {
		sp.effectOf(d)
		sp.end(in)
		return
	}
	in.Pos, in.Due = pos, d.Due
	sp.look(in, in.Due)
	if sp.force(r, in, d) == ends {
		sp.end(in)
	}
}

// sweptAgain begins the run of a schedule that a decision tells of, and returns
// its place, -1 if there is none to begin.
func (sp *stepper) sweptAgain(r *Rule, d *Decided) int {
	at, ok := occurrence(d.TriggerID)
	if !ok || r.Schedule == nil || sp.st.wasSwept(r.ID, at) {
		return -1
	}
	if _, arrived := sp.startScheduled(r, at, d.Partition); arrived == ends {
		return -1
	}
	return len(sp.st.instances) - 1
}
