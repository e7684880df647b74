package main

// statements are those of "Semantics, exactly", and what was settled with them,
// each with what breaks it.
var statements = []statement{
	{id: "one_user", quote: "State is per user and a function of that user's inputs only.", mutations: []mutation{
		{"all users count in one state", []patch{
			{"rules/metric.go", "sp.st.metricFor(m).add(m, t, key, sp.st.newest)", "shared.metricFor(m).add(m, t, key, sp.st.newest)"},
			{"rules/metric.go", "// setLatest keeps", "var shared = &State{}\n\n// setLatest keeps"},
			{"rules/expr.go", "ms := e.State.metric(m)", "ms := shared.metric(m)"},
		}},
	}},
	{id: "clock", quote: "For one event e (time t) of a user, after the clock rule has run: what is due at or before t fires first.", mutations: []mutation{
		one("the clock moves without firing", "rules/sim/sim.go", "s.advance(n, ev.Time)\n\t}\n\tu :=", "p.clock = ev.Time\n\t}\n\tu :="),
		one("what is due at t does not fire before it", "rules/sim/sim.go", "s.advance(n, ev.Time)\n\t}\n\tu :=", "s.advance(n, ev.Time-1)\n\t}\n\tu :="),
	}},
	{id: "repeated", quote: "A repeated event.id among the user's recent ones (default 16) is ignored.", mutations: []mutation{
		one("it is not ignored", "rules/step.go", "if sp.st.remember(hash48(e.ID), sp.set.RecentIDs) {", "if sp.st.remember(hash48(e.ID), sp.set.RecentIDs) && false {"),
		one("15 are remembered", "rules/set.go", "const DefaultRecentIDs = 16", "const DefaultRecentIDs = 15"),
		one("17 are remembered", "rules/set.go", "const DefaultRecentIDs = 16", "const DefaultRecentIDs = 17"),
	}},
	{id: "taken_in", quote: "Attributes and metrics take e in, before instances end and rules start.", mutations: []mutation{
		{"they take it in after rules have started", []patch{
			{"rules/step.go", "\tsp.takeIn(p, e)\n\tif sp.replay {", "\tif sp.replay {"},
			{"rules/step.go", "\tsp.keepFresh(e)\n", "\tsp.takeIn(p, e)\n\tsp.keepFresh(e)\n"},
		}},
		{"metrics before attributes", []patch{
			{"rules/step.go", "func (sp *stepper) takeIn(p *plan, e *Event) {\n", "func (sp *stepper) takeIn(p *plan, e *Event) {\n\tfor _, m := range p.metrics {\n\t\tsp.takeMetric(m, e.Time)\n\t}\n"},
			{"rules/step.go", "\t\tsp.st.setAttr(a.ID, v)\n\t}\n\tfor _, m := range p.metrics {\n\t\tsp.takeMetric(m, e.Time)\n\t}\n", "\t\tsp.st.setAttr(a.ID, v)\n\t}\n"},
		}},
	}},
	{id: "late", quote: "An event that is late (t below the user's newest) enters windows at its own t.", mutations: []mutation{
		one("it enters at the newest", "rules/step.go", "sp.takeMetric(m, e.Time)", "sp.takeMetric(m, sp.st.newest)"),
		one("windows of an event are open upwards", "rules/step.go", "sp.env.Event, sp.env.Now, sp.env.upper = e, e.Time, e.Time\n\n\tsp.takeIn", "sp.env.Event, sp.env.Now, sp.env.upper = e, e.Time, endOfTime\n\n\tsp.takeIn"),
		one("first does not move back", "rules/window.go", "p.t = min(p.t, t)", "p.t = max(p.t, t)"),
		one("value is that of the event applied last", "rules/metric.go", "} else if t < ms.points[0].t {\n\t\treturn\n", "} else if false {\n\t\treturn\n"),
		one("of two values at one time the earlier applied", "rules/metric.go", "} else if t < ms.points[0].t {", "} else if t <= ms.points[0].t {"),
	}},
	{id: "reset", quote: "`reset` applies after counting.", mutations: []mutation{
		one("before", "rules/step.go", "\tfor _, m := range p.metrics {\n\t\tsp.takeMetric(m, e.Time)\n\t}\n\tfor _, m := range p.resets {\n\t\tif ms := sp.st.metric(m); ms != nil {\n\t\t\tms.points = ms.points[:0]\n\t\t}\n\t}\n",
			"\tfor _, m := range p.resets {\n\t\tif ms := sp.st.metric(m); ms != nil {\n\t\t\tms.points = ms.points[:0]\n\t\t}\n\t}\n\tfor _, m := range p.metrics {\n\t\tsp.takeMetric(m, e.Time)\n\t}\n"),
		one("it does not clear", "rules/step.go", "\t\t\tms.points = ms.points[:0]\n", ""),
	}},
	{id: "unless", quote: "`unless`/`exit` of pending instances: matching ones end (decision `cancelled`).", mutations: []mutation{
		one("they do not", "rules/step.go", "if t == nil || !sp.endsBy(t, in) {", "if true || t == nil || !sp.endsBy(t, in) {"),
		one("whatever their where says", "rules/step.go", "if sp.ask(c.unless.Where) {", "if true || sp.ask(c.unless.Where) {"),
		one("exit is forgotten beside unless", "rules/rulefile/rule.go", `for _, key := range []string{"unless", "exit"} {`, `for _, key := range []string{"unless"} {`),
		one("after the rules have started", "rules/step.go", "\tfor _, r := range p.rules {\n\t\tsp.start(r, p, e)\n\t}\n", "\tfor _, r := range p.rules {\n\t\tsp.start(r, p, e)\n\t}\n\tsp.cancel(p, e)\n"),
	}},
	{id: "start", quote: "Rules in file order: those whose `on`/`where` match start an instance; one for each key.", mutations: []mutation{
		one("whatever where says", "rules/start.go", "r.Paused && r.beginsWithSend() || !sp.ask(r.Where)", "r.Paused && r.beginsWithSend()"),
		one("one for all keys", "rules/start.go", "\t\tkey = text\n", "\t\tkey = text[:0]\n"),
		one("one without the key's field", "rules/start.go", "if !ok || len(text) > MaxKeyLen {", "if !ok && false || len(text) > MaxKeyLen {"),
	}},
	{id: "restart", quote: "... or restart or ignore per `restart` (a restart takes the new event as its trigger and counts its wait from it).", mutations: []mutation{
		one("all are ignored", "rules/start.go", "if pending >= 0 && !r.Restart {", "if pending >= 0 {"),
		one("all are restarted", "rules/start.go", "if pending >= 0 && !r.Restart {", "if pending >= 0 && false {"),
		one("the old trigger stays", "rules/start.go", "\t\tsp.st.instances[pending] = *in\n", "\t\tin.Trigger = sp.st.instances[pending].Trigger\n\t\tsp.st.instances[pending] = *in\n"),
		one("the wait counts from the newest event", "rules/start.go", "sp.begin(r, in, pending >= 0, e.Time)", "sp.begin(r, in, pending >= 0, sp.st.newest)"),
	}},
	{id: "at_once", quote: "With no wait it fires now; there `when` belongs to the trigger: if it is false nothing fires and no decision is written.", mutations: []mutation{
		one("a decision is written", "rules/advance.go", "silent := q.started && in.Pos == 0 && r.atTrigger", "silent := false"),
		one("when is not asked", "rules/gate_condition.go", "if f.ask(f.rule.When) {", "if true || f.ask(f.rule.When) {"),
	}},
	{id: "missing", quote: "A field that an event lacks, an attribute or last that a user lacks, makes the condition that reads it false and a data value absent; counts, sums and distincts of nothing are 0.", mutations: []mutation{
		one("it makes it true", "rules/step.go", "\tcase Unknown:\n\t\tsp.out.Missing++\n", "\tcase Unknown:\n\t\tsp.out.Missing++\n\t\treturn true\n"),
		one("counts of nothing are not there", "rules/expr.go", "\t\treturn IntValue(count(window, key))\n", "\t\tif ms == nil {\n\t\t\treturn Value{}\n\t\t}\n\t\treturn IntValue(count(window, key))\n"),
		one("a last that is not there is 1970", "rules/expr.go", "\t\tif len(window) > 0 {\n\t\t\treturn TimeValue(window[0].t)\n\t\t}\n", "\t\tif len(window) > 0 {\n\t\t\treturn TimeValue(window[0].t)\n\t\t}\n\t\treturn TimeValue(0)\n"),
		one("data that is not there is sent", "rules/fire.go", "\t\tif !v.Present() {\n\t\t\tsp.out.Missing++\n\t\t\tcontinue\n\t\t}\n", ""),
	}},
	{id: "gates", quote: "A firing runs these gates in this order; the first that holds back names the reason.", tests: []string{"gates", "expired", "cap_before_holdout"}, mutations: []mutation{
		swapped("Expired", "Condition"), swapped("Condition", "Cooldown"), swapped("Cooldown", "Consent"), swapped("Consent", "QuietHours"),
		swapped("QuietHours", "Cap"), swapped("Cap", "Holdout"), swapped("Holdout", "Excluded"), swapped("Excluded", "Control"),
	}},
	{id: "expired", quote: "`expired` (later than expire_after)", mutations: []mutation{
		one("as late as that is too late", "rules/gate_expired.go", "f.at-f.in.Due > f.rule.ExpireAfter", "f.at-f.in.Due >= f.rule.ExpireAfter"),
		one("never", "rules/gate_expired.go", "f.at-f.in.Due > f.rule.ExpireAfter", "false"),
	}},
	{id: "condition", quote: "`condition` (`when`): asked when it fires; what was held back is over.", mutations: []mutation{
		one("it is not asked", "rules/gate_condition.go", "if f.ask(f.rule.When) {", "if true || f.ask(f.rule.When) {"),
	}},
	{id: "cooldown", quote: "A cooldown of 24h allows the next send exactly 24h later.", mutations: []mutation{
		one("a millisecond later", "rules/gate_cooldown.go", "f.clock()-last < f.rule.Cooldown", "f.clock()-last <= f.rule.Cooldown"),
		one("a millisecond sooner", "rules/gate_cooldown.go", "f.clock()-last < f.rule.Cooldown", "f.clock()-last < f.rule.Cooldown-1"),
		one("one for all rules", "rules/sends.go", "\t\tif st.sent[i].rule == rule {\n\t\t\treturn st.sent[i].t, true\n", "\t\tif true {\n\t\t\treturn st.sent[i].t, true\n"),
		one("it runs back for a late event", "rules/gate_cooldown.go", "f.clock()-last < f.rule.Cooldown", "f.at-last < f.rule.Cooldown"),
	}},
	{id: "consent", quote: "`consent`: nothing of the class goes out unless the attribute is true.", mutations: []mutation{
		one("unless it is false", "rules/gate_consent.go", "v.Kind != Bool || !v.Bool()", "v.Kind == Bool && !v.Bool()"),
		one("transactional messages need it", "rules/gate_consent.go", "return class != Transactional && (policy == \"\" || policy == class)", "return true"),
	}},
	{id: "quiet_skip", quote: "`quiet_hours` (`then: skip`): local time in [from, to).", mutations: []mutation{
		one("the first minute is not quiet", "rules/gate_quiet.go", "return local >= from || local < to", "return local > from || local < to"),
		one("the end is quiet", "rules/gate_quiet.go", "return local >= from || local < to", "return local >= from || local <= to"),
		one("in UTC", "rules/gate_quiet.go", "local := localTime(f.at, zone)", "local := localTime(f.at, time.UTC)"),
	}},
	{id: "quiet_defer", quote: "with `then: defer` the decision is `deferred`, the instance waits until the quiet hours end and all gates run anew; `unless` goes on working meanwhile.", tests: []string{"quiet_defer", "quiet_gap"}, mutations: []mutation{
		one("it is skipped", "rules/gate_quiet.go", "if q.Skip ||", "if true || q.Skip ||"),
		one("a time in a gap waits for the next day", "rules/gate_quiet.go", "jump > 0 && (skipped+dayMS)%dayMS <= jump", "false && jump > 0 && (skipped+dayMS)%dayMS <= jump"),
		one("the clocks never change", "rules/gate_quiet.go", "if changes.IsZero() || t+ahead < changes.UnixMilli() {", "if true {"),
		one("night consent does not lift them", "rules/gate_quiet.go", "if !q.hold(local) || f.nightConsent(class) {", "if !q.hold(local) {"),
		one("the user's zone is not asked", "rules/gate_quiet.go", "if q.Timezone != nil {", "if false {"),
		{"the gates are not asked anew", []patch{
			{"rules/state.go", "\tsent bool\n\trun  assignment\n", "\tsent bool\n\theld bool\n\trun  assignment\n"},
			{"rules/advance.go", "\t\tin.Due = f.until\n", "\t\tin.Due = f.until\n\t\tin.held = true\n"},
			{"rules/fire.go", "\tfor _, g := range gates {\n", "\tfor _, g := range gates {\n\t\tif in.held {\n\t\t\tbreak\n\t\t}\n"},
		}},
		{"unless does not end what is put off", []patch{
			{"rules/state.go", "\tsent bool\n\trun  assignment\n", "\tsent bool\n\theld bool\n\trun  assignment\n"},
			{"rules/advance.go", "\t\tin.Due = f.until\n", "\t\tin.Due = f.until\n\t\tin.held = true\n"},
			{"rules/step.go", "if t == nil || !sp.endsBy(t, in) {", "if t == nil || in.held || !sp.endsBy(t, in) {"},
		}},
	}},
	{id: "cap", quote: "`cap`: over all rules, in (t - per, t].", mutations: []mutation{
		one("one more", "rules/gate_cap.go", "n >= c.Max", "n > c.Max"),
		one("the window is closed below", "rules/sends.go", "l.times[j] > t; j--", "l.times[j] >= t; j--"),
		one("transactional messages ask", "rules/gate_cap.go", "if send.Class == Transactional || len(f.set.caps) == 0 {", "if len(f.set.caps) == 0 {"),
		one("transactional messages count", "rules/fire.go", "if e.class != Transactional && len(sp.set.caps) > 0 {", "if len(sp.set.caps) > 0 {"),
		one("class and channel are not asked", "rules/gate_cap.go", "if !ids.matches(class, channel) {", "if false && !ids.matches(class, channel) {"),
	}},
	{id: "control_counts", quote: "Control and holdout come last, so that an exposure is written for both arms at the moment when a message would have gone out; a control's virtual send ticks cooldowns and caps like a real one.", mutations: []mutation{
		one("a virtual send ticks nothing", "rules/fire.go", "\tif e.outcome == Sent || e.outcome == ControlArm {\n\t\tif r :=", "\tif e.outcome == Sent {\n\t\tif r :="),
		one("it has no data", "rules/fire.go", "\tif outcome == Sent || outcome == ControlArm {\n", "\tif outcome == Sent {\n"),
	}},
	{id: "holdout", quote: "Holdout: bucket < percent * 100; in no nudge at all, of any rule.", tests: []string{"holdout", "holdout_edge"}, mutations: []mutation{
		one("bucket <= percent * 100", "experiment/holdout.go", "int(bucket) < h.limit()", "int(bucket) <= h.limit()"),
		one("a bucket less", "experiment/holdout.go", "int(bucket) < h.limit()", "int(bucket) < h.limit()-1"),
		one("transactional messages go out", "rules/gate_holdout.go", "if h == nil {", "if h == nil || f.op.Send.Class == Transactional {"),
		one("it starts cooldowns", "rules/fire.go", "\tif e.outcome == Sent || e.outcome == ControlArm {\n\t\tif r :=", "\tif e.outcome == Sent || e.outcome == ControlArm || e.outcome == HeldOut {\n\t\tif r :="),
	}},
	{id: "excluded", quote: "`excluded` (outside the experiment's layer slot or coverage). In no experiment: whoever passes the gates is sent to.", mutations: []mutation{
		one("the slot is not asked", "experiment/assign.go", "slot < a.layerFrom || slot >= a.layerTo", "false && slot < a.layerFrom"),
		one("coverage is not asked", "experiment/assign.go", "if bucket >= a.ranges[i].to {", "if false {"),
		one("who is in no experiment is not sent to", "rules/gate_excluded.go", "\tif x == nil {\n\t\treturn pass\n", "\tif x == nil {\n\t\treturn Excluded\n"),
	}},
	{id: "priority", quote: "Firings of one user at the same moment go by `priority` (higher first, default 0), then the order in the file.", tests: []string{"priority", "priority_schedule"}, mutations: []mutation{
		one("lower first", "rules/queue.go", "cmp.Compare(b.priority, a.priority)", "cmp.Compare(a.priority, b.priority)"),
		one("the order in the file alone", "rules/queue.go", "cmp.Compare(b.priority, a.priority), ", ""),
		one("the last in the file first", "rules/queue.go", "cmp.Compare(a.rule, b.rule)", "cmp.Compare(b.rule, a.rule)"),
		one("schedules by the file alone", "rules/schedule.go", "cmp.Compare(b.Priority, a.Priority)", "0 * cmp.Compare(b.Priority, a.Priority)"),
	}},
	{id: "ties", quote: "Ties in time: the order of offsets; among due timers, due time, then order in the file.", mutations: []mutation{
		one("an event ends nothing that began in its millisecond", "rules/step.go", "if t == nil || !sp.endsBy(t, in) {", "if t == nil || e.Time == in.Trigger.Time || !sp.endsBy(t, in) {"),
		one("priority before due time", "rules/queue.go", "cmp.Compare(a.due, b.due), cmp.Compare(b.priority, a.priority)", "cmp.Compare(b.priority, a.priority), cmp.Compare(a.due, b.due)"),
		one("the last in the file first", "rules/queue.go", "cmp.Compare(a.rule, b.rule)", "cmp.Compare(b.rule, a.rule)"),
		one("the latest start first", "rules/queue.go", "cmp.Compare(a.order, b.order)", "cmp.Compare(b.order, a.order)"),
	}},
	{id: "steps", quote: "Each step of a scenario passes the gates anew; a step that is held back ends neither the scenario nor its waits.", mutations: []mutation{
		one("later steps pass unasked", "rules/fire.go", "\tfor _, g := range gates {\n", "\tfor _, g := range gates {\n\t\tif in.sent {\n\t\t\tbreak\n\t\t}\n"),
		one("a cap ends it", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case Condition, ControlArm, Excluded, HeldOut, Capped:"),
		one("a cooldown ends it", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case Condition, ControlArm, Excluded, HeldOut, Cooldown:"),
		one("its own sends start a cooldown for its later steps", "rules/gate_cooldown.go", "if f.rule.Cooldown == 0 || f.in.sent {", "if f.rule.Cooldown == 0 {"),
	}},
	{id: "steps_end", quote: "... except `condition`, `control`, `excluded` and `holdout`, which end it.", tests: []string{"steps", "steps_holdout"}, mutations: []mutation{
		one("condition does not", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case ControlArm, Excluded, HeldOut:"),
		one("control does not", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case Condition, Excluded, HeldOut:"),
		one("excluded does not", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case Condition, ControlArm, HeldOut:"),
		one("holdout does not", "rules/advance.go", "case Condition, ControlArm, Excluded, HeldOut:", "case Condition, ControlArm, Excluded:"),
	}},
	{id: "assigned_once", quote: "Assignment is made once, at the scenario's first send.", mutations: []mutation{
		one("at every send", "rules/gate_excluded.go", `run.arm != "" && run.experiment == x.id`, `false && run.experiment == x.id`),
	}},
	{id: "goal", quote: "A `goal` event within its window (exposure, exposure + within] after the user's first exposure writes `converted` once per user, experiment and phase, with the value; later goal events inside the window add their value (decision `converted`, `again: true`).", tests: []string{"goal", "goal_holdout", "again"}, mutations: []mutation{
		one("at the exposure as well", "rules/exposure.go", "e.Time <= seen.t ||", "e.Time < seen.t ||"),
		one("not at the end of the window", "rules/exposure.go", "e.Time > seen.t+x.Goal.Within {\n\t\t\t\tcontinue", "e.Time >= seen.t+x.Goal.Within {\n\t\t\t\tcontinue"),
		one("the last exposure counts", "rules/exposure.go", "\t\tif st.exposures[i].experiment == e.experiment && st.exposures[i].phase == e.phase {\n\t\t\treturn false\n", "\t\tif st.exposures[i].experiment == e.experiment && st.exposures[i].phase == e.phase {\n\t\t\tst.exposures[i].t = e.t\n\t\t\treturn false\n"),
		one("whatever its where says", "rules/exposure.go", "if !sp.ask(x.Goal.Where) {", "if false {"),
		one("without the value", "rules/exposure.go", "Worth:       worth,", "Worth:       Value{},"),
		one("later ones say nothing of it", "rules/exposure.go", "Again:       seen.converted,", ""),
		one("control is not exposed", "rules/fire.go", "return o == Sent || o == ControlArm || o == HeldOut", "return o == Sent || o == HeldOut"),
		one("the held out are not exposed", "rules/fire.go", "return o == Sent || o == ControlArm || o == HeldOut", "return o == Sent || o == ControlArm"),
		one("after what the event starts and fires", "rules/step.go", "if len(p.goals) > 0 && len(sp.st.exposures) > 0 && anew {\n\t\tsp.convert(p, e)\n\t}\n\tfor _, r := range p.rules {\n\t\tsp.start(r, p, e)\n\t}\n", "for _, r := range p.rules {\n\t\tsp.start(r, p, e)\n\t}\n\tfor {\n\t\tq, ok := sp.next()\n\t\tif !ok {\n\t\t\tbreak\n\t\t}\n\t\tsp.fireByEvent(q, e)\n\t}\n\tif len(p.goals) > 0 && len(sp.st.exposures) > 0 && anew {\n\t\tsp.convert(p, e)\n\t}\n"),
	}},
	{id: "clock_writes", quote: "A firing driven by the clock always writes a decision.", mutations: []mutation{
		one("a false condition is passed over", "rules/advance.go", "sp.fire(r, in, max(in.Due, fired), false)", "sp.fire(r, in, max(in.Due, fired), true)"),
		one("of a rule that begins with a send the trigger writes one as well", "rules/advance.go", "silent := q.started && in.Pos == 0 && r.atTrigger", "silent := false"),
	}},
	{id: "no_decision", quote: "A transition that writes none (from one `wait` of a scenario into the next, an empty `else`) is taken by event time when the user is next looked at, never by the clock.", mutations: []mutation{
		one("it is not taken by event time", "rules/step.go", "\t\tsp.passBy(e.Time)\n", "\t\tsp.passBy(0)\n"),
		one("it is taken at the newest event's time", "rules/step.go", "\t\tsp.passBy(e.Time)\n", "\t\tsp.passBy(e.Time + 3_600_000)\n"),
		{"it is taken by the clock", []patch{
			{"rules/transition.go", "_, due, ok := st.ahead(s, r, in)\n\treturn due, ok\n", "return in.Due, true\n"},
			{"rules/advance.go", "\tsp.endRemoved(until, fired)\n", "\tsp.passBy(until)\n\tsp.endRemoved(until, fired)\n"},
		}},
	}},
	{id: "wait_for", quote: "wait_for: an event at t < due leads to `then` at once; reaching due leads to `else`; both go on with what follows.", mutations: []mutation{
		one("an event at due leads to then", "rules/transition.go", "if in.Pos == over || e.Time >= in.Due {", "if in.Pos == over || e.Time > in.Due {"),
		one("whatever its where says", "rules/transition.go", "if !sp.ask(w.Where) {", "if false {"),
		one("both lead to then", "rules/transition.go", "return op.For.Else", "return op.For.Then"),
	}},
	{id: "steps_quiet", quote: "A wait counts from the moment at which the send before it was decided; `unless` of a step holds while the instance stands at it.", mutations: []mutation{
		one("from the trigger", "rules/advance.go", "sp.enter(r, in, r.Program[in.Pos].Next, f.at)", "sp.enter(r, in, r.Program[in.Pos].Next, in.Trigger.Time)"),
		one("unless of every step holds everywhere", "rules/step.go", "if c.pos != anywhere && c.pos != in.Pos {", "if false {"),
	}},
	{id: "wait_until", quote: "wait_until: evaluated when the instance comes to it; a time in the past means now; what is not known starts nothing, or ends the instance.", mutations: []mutation{
		one("a time in the past is the due time", "rules/transition.go", "if until > m {", "if true {"),
		one("what is not known is now", "rules/transition.go", "\tif !ok {\n\t\t\tsp.out.Missing++\n\t\t\treturn ends\n\t\t}\n", "\tif !ok {\n\t\t\tuntil = m\n\t\t}\n"),
	}},
	{id: "schedule", quote: "schedule: over everybody in the audience, at local times; one run per user, rule and occurrence.", tests: []string{"schedule", "sweep"}, mutations: []mutation{
		one("over everybody", "rules/schedule.go", "if !sp.ask(r.Schedule.Audience) {", "if false {"),
		one("an occurrence may run twice", "rules/schedule.go", "sp.st.wasSwept(r.ID, at) || ", ""),
		one("runs of one rule side by side", "rules/schedule.go", ` || sp.st.indexOf(r.ID, "") >= 0 {`, " {"),
		one("a time that is shown twice happens the second time", "rules/rulefile/schedule.go", "if end.IsZero() || shown.Before(end) {", "if end.IsZero() || shown.Before(end.Add(-time.Hour)) {"),
	}},
	{id: "windows", quote: "Windows are half-open: (t-W, t]. A purchase 29 days ago is inside `within: 30d`; one 30 days ago to the millisecond is not.", mutations: []mutation{
		one("closed below", "rules/metric.go", "ms.points[from-1].t > lower", "ms.points[from-1].t >= lower"),
		one("open above", "rules/metric.go", "ms.points[to-1].t > upper", "ms.points[to-1].t >= upper"),
		one("a millisecond short", "rules/metric.go", "lower := max(now, newest) - m.Within", "lower := max(now, newest) - m.Within + 1"),
	}},
	{id: "exact", quote: "Metrics stay exact for at least the last 64 occurrences in a window; beyond that they may be kept in panes of W/64.", mutations: []mutation{
		one("for the last 48", "rules/window.go", "ExactOccurrences = 64", "ExactOccurrences = 48"),
	}},
	{id: "command_id", quote: "`command_id` is deterministic: hash of rule, user, instance key, step, and the triggering event's id.", mutations: []mutation{
		one("without the step", "rules/decision.go", "string(strconv.AppendInt(num[:0], int64(step), 10))", "string(strconv.AppendInt(num[:0], int64(step)*0, 10))"),
		one("without the key", "rules/decision.go", "{rule, user, key, ", "{rule, user, key[:0], "),
		one("without the trigger", "rules/decision.go", "10)), triggerID}", "10)), triggerID[:0]}"),
		one("without the user", "rules/decision.go", "{rule, user, key, ", "{rule, user[:0], key, "),
		one("without the rule", "rules/decision.go", "{rule, user, key, ", "{rule[:0], user, key, "),
	}},
	{id: "edit", quote: "Changing a rule: a pending instance keeps running under the new text of a rule with the same name; `when`, `send` are read at fire; a rule that is gone ends its instances with `rule_removed`; `paused: true` lets instances wait without firing.", tests: []string{"edit", "paused"}, mutations: []mutation{
		one("an edited rule is another one", "rules/index.go", `r.ID = id("rule", r.Name)`, `r.ID = id("rule", fmt.Sprint(r.Name, r.Program[0].Wait))`),
		one("instances of rules that are gone end without a word", "rules/step.go", "\t\tsp.emit(RuleRemoved, nil, in, ended)\n", "\t\t_ = ended\n"),
		one("paused rules fire", "rules/advance.go", "\t\tif r.Paused {\n\t\t\tcontinue\n\t\t}\n", ""),
		one("paused rules without a wait fire", "rules/start.go", "r.Schedule != nil || r.Paused && r.beginsWithSend() ||", "r.Schedule != nil ||"),
	}},
	{id: "kr", quote: "profile kr: 21:00 to 08:00 in Seoul is quiet for ads, ads need ad_consent, ad_night_consent lifts the quiet hours, and the label is on them.", tests: []string{"kr", "again"}, mutations: []mutation{
		one("no quiet hours", "rules/rulefile/policy.go", "if !o.has(\"quiet_hours\") {", "if false {"),
		one("no consent", "rules/rulefile/policy.go", "if !o.has(\"consent\") {", "if false {"),
		one("no label", "rules/fire.go", "d.Label = sp.set.Policy.label(f.op.Send.Class)", ""),
	}},
}

// swapped asks two neighbouring gates in the other order.
func swapped(first, second string) mutation {
	return one(second+" before "+first, "rules/fire.go", "\tgate"+first+",\n\tgate"+second+",\n", "\tgate"+second+",\n\tgate"+first+",\n")
}
