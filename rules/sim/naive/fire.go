package naive

// fire asks the gates of the send at which the instance stands, and goes on.
func (u *user) fire(in *instance, at int64, asked moment) {
	r := u.run.spec.rule(in.rule)
	o := program(r)[in.at]
	if asked.event == nil && !r.waits() && r.Schedule == nil {
		// The rule was put off: what it reads of the event at hand is the
		// triggering event's.
		asked.event = in.trigger
	}
	f := &firing{user: u, rule: r, in: in, send: o.message, at: at, asked: asked}
	outcome := f.gates()
	switch {
	case outcome == "condition" && in.started && in.at == 0 && !u.run.options.Verbose:
		// when belongs to the trigger: nothing happened.
	default:
		u.write(f, outcome)
	}
	told := len(u.run.Decisions) - 1
	switch outcome {
	case "sent", "control":
		u.sends = append(u.sends, sent{r.Name, o.message.Class, o.message.Channel, at})
		in.sent = true
		u.run.Decisions[told].First = u.expose(f)
	case "holdout":
		f.arm = "holdout"
		u.run.Decisions[told].First = u.expose(f)
	}
	switch outcome {
	case "deferred":
		in.due = f.until
	case "condition", "control", "excluded", "holdout":
		u.end(in)
	default:
		if !u.arrive(in, r, o.next, at, asked) {
			u.end(in)
		}
	}
}

// firing is one send about to go out.
type firing struct {
	*user
	rule  *Rule
	in    *instance
	send  *Send
	at    int64
	asked moment

	arm   string // once assigned
	until int64  // of a deferral
}

// gates is the outcome: the first gate that holds back, or sent.
func (f *firing) gates() string {
	quiet, until := f.quiet()
	x := f.run.spec.experiment(f.rule.Experiment)
	switch {
	case f.rule.Expire > 0 && f.at-f.in.due > f.rule.Expire:
		return "expired"
	case !f.holds(f.rule.When, f.asked):
		return "condition"
	case f.cooling():
		return "cooldown"
	case f.lacksConsent():
		return "consent"
	case quiet != "":
		f.until = until
		return quiet
	case f.capped():
		return "cap"
	case !f.run.options.NoHoldout && f.run.spec.Holdout.heldOut(f.name):
		return "holdout"
	}
	if x == nil {
		return "sent"
	}
	takesPart := true
	if f.arm = f.in.arm; f.arm == "" {
		if f.arm = f.run.options.Pinned[x.Name]; f.arm == "" {
			f.arm, takesPart = x.arm(f.name)
		}
	}
	if !takesPart {
		f.arm = ""
		return "excluded"
	}
	f.in.arm = f.arm
	if f.arm == "control" {
		return "control"
	}
	return "sent"
}

// clock is the time by which cooldowns and caps go: a late event counts as of
// the user's newest.
func (f *firing) clock() int64 { return max(f.at, f.newest()) }

// cooling says that less than the cooldown has passed since a send of the rule.
// A run that has sent already does not ask.
func (f *firing) cooling() bool {
	if f.in.sent || f.rule.Cooldown == 0 {
		return false
	}
	for _, s := range f.sends {
		if s.rule == f.rule.Name && f.clock() < s.at+f.rule.Cooldown {
			return true
		}
	}
	return false
}

// expose notes that the user was exposed to the rule's experiment, and says
// whether that counts as the first time.
func (u *user) expose(f *firing) bool {
	x := u.run.spec.experiment(f.rule.Experiment)
	if x == nil || u.exposure(x) != nil {
		return false
	}
	watched := u.run.spec.watched(x)
	if x.Goal == nil && !watched {
		return false
	}
	u.exposures = append(u.exposures, &exposure{experiment: x.Name, phase: x.phase(), rule: f.rule.Name, arm: f.arm, at: f.at, watched: watched, hit: map[string]bool{}})
	return watched
}

// write writes the decision on a firing.
func (u *user) write(f *firing, outcome string) {
	d := u.decide(f.in, outcome, f.at)
	d.Send = f.send
	x := u.run.spec.experiment(f.rule.Experiment)
	if x != nil {
		switch outcome {
		case "sent", "control":
			d.Experiment, d.Phase, d.Arm = x.Name, x.phase(), f.arm
		case "holdout":
			d.Experiment, d.Phase, d.Arm = x.Name, x.phase(), "holdout"
		}
	}
	if outcome == "sent" || outcome == "control" {
		d.Label = u.run.spec.label(f.send.Class)
		for _, v := range f.send.Data {
			if value := u.eval(v.Of, f.asked); value.There() {
				d.Data = append(d.Data, Field{v.Name, value})
			}
		}
	}
}

// decide writes a decision on an instance.
func (u *user) decide(in *instance, outcome string, at int64) *Decision {
	d := Decision{Outcome: outcome, User: u.name, Rule: in.rule, Instance: in.key, Step: in.at, Trigger: in.trigger, Due: in.due, At: at}
	if r := u.run.spec.rule(in.rule); !u.gone(in) {
		// The number of the send that it would have come to next.
		for _, o := range program(r)[in.at:] {
			if o.message != nil {
				d.Step = o.send
				break
			}
		}
		if r.Expire > 0 {
			d.Expires = in.due + r.Expire
		}
	}
	d.CommandID = commandID(in.rule, u.name, in.key, d.Step, in.trigger.ID)
	u.run.Decisions = append(u.run.Decisions, d)
	return &u.run.Decisions[len(u.run.Decisions)-1]
}
