package rulefile

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// resolver walks a parsed expression, finds out what its names mean, and puts a
// variable in place of each event.x, trigger.x, user.x, their has() and the
// metrics. What it cannot place it reports.
type resolver struct {
	c     *compiler
	scope *scope
	text  scalarText
	tree  *ast.AST
	used  map[string]*variable
	make  ast.ExprFactory
	next  int64 // id of the next new expression node
	bad   bool
}

// typeNames may stand alone in an expression, as in type(x) == int.
var typeNames = []string{"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "timestamp", "duration", "type", "uint", "dyn"}

func (r *resolver) fail(e ast.Expr, shift int, wayOut, format string, args ...any) {
	r.bad = true
	r.c.add(r.text.placeOf(r.offset(e)+shift), wayOut, format, args...)
}

// offset returns where the expression stands in the text.
func (r *resolver) offset(e ast.Expr) int {
	rng, ok := r.tree.SourceInfo().GetOffsetRange(e.ID())
	if !ok {
		return 0
	}
	return int(rng.Start)
}

func (r *resolver) walk(e ast.Expr, bound []string) {
	switch e.Kind() {
	case ast.IdentKind:
		r.ident(e, bound)
	case ast.SelectKind:
		r.selection(e, bound)
	case ast.CallKind:
		r.call(e, bound)
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			r.walk(item, bound)
		}
	case ast.MapKind:
		for _, item := range e.AsMap().Entries() {
			r.walk(item.AsMapEntry().Key(), bound)
			r.walk(item.AsMapEntry().Value(), bound)
		}
	case ast.StructKind:
		r.fail(e, -len(e.AsStruct().TypeName()), "write a map: {'name': value}", "there are no message types here")
	case ast.ComprehensionKind:
		r.loop(e, bound)
	}
}

func (r *resolver) ident(e ast.Expr, bound []string) {
	name := e.AsIdent()
	if slices.Contains(bound, name) || slices.Contains(typeNames, name) {
		return
	}
	switch name {
	case eventName, triggerName, userName:
		if r.available(e, name, "…") {
			r.fail(e, 0, "write "+name+".name, with the name of what you want of it", "%s stands alone", name)
		}
		return
	case nowName:
		r.put(e, nowVariable())
		return
	}
	m, a := r.c.metrics[name], r.c.audiences[name]
	if m == nil && a == nil {
		r.unknown(e, name, false)
		return
	}
	if r.scope.noMetrics != "" {
		what := "metric"
		if a != nil {
			what = "audience"
		}
		r.fail(e, 0, "use the event's own fields, attributes and now", "the %s %s cannot be used here: %s", what, name, r.scope.noMetrics)
		return
	}
	if a != nil {
		r.audience(e, a)
		return
	}
	if m.compiled.Keyed {
		if r.scope.noKeyed != "" {
			r.fail(e, 0, "use a count without by:", "the metric %s counts by a field of the event: %s", name, r.scope.noKeyed)
			return
		}
		if !r.scope.event || r.scope.keepEvent {
			// It is counted for the triggering event, which has to keep the field.
			r.scope.uses.keep(m.compiled.BySlot)
		}
	}
	v := metricVariable(m.compiled)
	r.scope.note(name, v.read)
	r.put(e, v)
}

// audience puts an audience in place of its name.
func (r *resolver) audience(e ast.Expr, a *audience) {
	if a.state == audienceOpen {
		r.fail(e, 0, "break the circle: write one of the conditions out", "the audience %s reads itself: %s", a.name, r.c.cycle(a.name))
		return
	}
	r.c.openAudience(a)
	v := audienceVariable(a)
	r.scope.note(a.name, v.read)
	for _, n := range a.reads {
		r.scope.note(n.Name, n.Expr)
	}
	r.put(e, v)
}

// unknown reports a name that means nothing.
func (r *resolver) unknown(e ast.Expr, name string, selected bool) {
	names := []string{eventName, userName}
	if r.scope.trigger != noTrigger {
		names = append(names, triggerName)
	}
	if !selected {
		names = append(r.metricNames(), nowName)
		for a := range r.c.attributes {
			if a == name {
				r.fail(e, 0, "did you mean user."+name+"?", "unknown name %s", name)
				return
			}
		}
	}
	wayOut := ""
	if n := nearest(name, names); n != "" {
		wayOut = "did you mean " + n + "?"
	} else {
		wayOut = "write event.… for a field, user.… for an attribute; a text needs quotes inside of the expression: '" + name + "'"
	}
	r.fail(e, 0, wayOut, "unknown name %s", name)
}

func (r *resolver) metricNames() []string {
	if r.scope.noMetrics != "" {
		return nil
	}
	names := make([]string, 0, len(r.c.metrics)+len(r.c.audiences))
	for m := range r.c.metrics {
		names = append(names, m)
	}
	for a := range r.c.audiences {
		names = append(names, a)
	}
	return names
}

func (r *resolver) selection(e ast.Expr, bound []string) {
	sel := e.AsSelect()
	operand := sel.Operand()
	if operand.Kind() != ast.IdentKind || slices.Contains(bound, operand.AsIdent()) {
		r.walk(operand, bound)
		return
	}
	switch operand.AsIdent() {
	case eventName, triggerName, userName:
		r.member(e, operand, sel.FieldName(), sel.IsTestOnly())
	default:
		if name := operand.AsIdent(); name != nowName && r.c.metrics[name] == nil && r.c.audiences[name] == nil {
			r.unknown(operand, name, true)
			return
		}
		r.walk(operand, bound)
	}
}

// member puts the variable of owner.field, or of its presence, in place of e.
func (r *resolver) member(e, owner ast.Expr, field string, presenceOnly bool) {
	name := owner.AsIdent()
	if !r.available(owner, name, field) {
		return
	}
	var v *variable
	switch {
	case name == userName:
		a := r.c.attributes[field]
		if a == nil {
			names := make([]string, 0, len(r.c.attributes))
			for known := range r.c.attributes {
				names = append(names, userName+"."+known)
			}
			slices.Sort(names)
			r.fail(owner, len(userName)+1, didYouMean(userName+"."+field, names, "attributes"), "unknown attribute %s", field)
			return
		}
		v = attributeVariable(a.compiled)
		r.scope.note(v.name, v.read)
	case name == triggerName && r.scope.trigger == triggerIsKept:
		if r.scope.noFields != "" && !slices.Contains(envelope, field) {
			r.fail(owner, 0, "use "+shortList(triggerNames())+", attributes and metrics", "trigger has no field %s here: %s", field, r.scope.noFields)
			return
		}
		v = r.c.triggerVariable(field, r.scope.uses)
	default:
		v = r.c.eventVariable(field)
		if r.scope.keepEvent && v.slot >= 0 {
			r.scope.uses.keep(v.slot)
		}
	}
	if presenceOnly {
		v = presence(v)
	}
	r.put(e, v)
}

// available tells whether event or trigger can be read here, and reports it if
// not.
func (r *resolver) available(e ast.Expr, name, field string) bool {
	switch {
	case name == eventName && !r.scope.event:
		r.fail(e, 0, strings.ReplaceAll(r.scope.noEvent, "%s", field), "event cannot be used here")
		return false
	case name == triggerName && r.scope.trigger == noTrigger:
		r.fail(e, 0, r.scope.noTrigger, "trigger cannot be used here")
		return false
	}
	return true
}

func (r *resolver) call(e ast.Expr, bound []string) {
	call := e.AsCall()
	if args := call.Args(); call.FunctionName() == operators.Index && len(args) == 2 && args[0].Kind() == ast.IdentKind && !slices.Contains(bound, args[0].AsIdent()) {
		owner := args[0]
		if name := owner.AsIdent(); name == eventName || name == triggerName || name == userName {
			if args[1].Kind() == ast.LiteralKind {
				if field, ok := args[1].AsLiteral().(types.String); ok {
					r.member(e, owner, string(field), false)
					return
				}
			}
			if r.available(owner, name, "…") {
				r.fail(owner, 0, "write the name itself: "+name+"['name']", "which field of %s is read has to be known beforehand", name)
			}
			return
		}
	}
	if call.IsMemberFunction() {
		r.walk(call.Target(), bound)
	}
	for _, arg := range call.Args() {
		r.walk(arg, bound)
	}
}

func (r *resolver) loop(e ast.Expr, bound []string) {
	loop := e.AsComprehension()
	r.walk(loop.IterRange(), bound)
	for _, name := range []string{loop.IterVar(), loop.IterVar2()} {
		if slices.Contains(reserved, name) || r.c.metrics[name] != nil || r.c.audiences[name] != nil {
			r.fail(e, 0, "choose another name", "the loop's variable cannot be called %s: that means something else already", name)
			return
		}
	}
	if kind := loop.IterRange().Kind(); kind != ast.ListKind && kind != ast.ComprehensionKind {
		r.order(loop.IterRange())
	}
	inner := append(slices.Clone(bound), loop.IterVar(), loop.AccuVar())
	if loop.HasIterVar2() {
		inner = append(inner, loop.IterVar2())
	}
	r.walk(loop.AccuInit(), inner)
	r.walk(loop.LoopCondition(), inner)
	r.walk(loop.LoopStep(), inner)
	r.walk(loop.Result(), inner)
}

// order wraps what a loop goes over so that maps go by key.
func (r *resolver) order(e ast.Expr) {
	inner := r.make.NewUnspecifiedExpr(r.next)
	inner.SetKindCase(e)
	if rng, ok := r.tree.SourceInfo().GetOffsetRange(e.ID()); ok {
		r.tree.SourceInfo().SetOffsetRange(r.next, rng)
	}
	r.next++
	e.SetKindCase(r.make.NewCall(e.ID(), orderedName, inner))
}

// put makes e read the variable.
func (r *resolver) put(e ast.Expr, v *variable) {
	if known := r.c.cel.variables[v.name]; known != nil {
		v = known
	}
	r.used[v.name] = v
	e.SetKindCase(r.make.NewIdent(e.ID(), v.name))
}

// checkComparisons refuses == != and in between types that are never equal. CEL
// compares numbers of different types by value.
func (c *compiler) checkComparisons(text scalarText, tree *ast.AST) (fine bool) {
	fine = true
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		args := call.Args()
		if len(args) != 2 {
			return
		}
		left, right := tree.GetType(args[0].ID()), tree.GetType(args[1].ID())
		symbol := ""
		switch call.FunctionName() {
		case operators.Equals:
			symbol = "=="
		case operators.NotEquals:
			symbol = "!="
		case operators.In:
			symbol = "in"
			if kind := right.Kind(); kind == types.ListKind || kind == types.MapKind {
				right = right.Parameters()[0]
			} else {
				return
			}
		default:
			return
		}
		if canBeEqual(left, right) {
			return
		}
		fine = false
		offset := 0
		if rng, ok := tree.SourceInfo().GetOffsetRange(e.ID()); ok {
			offset = int(rng.Start)
		}
		c.add(text.placeOf(offset), convertHint(left, right), "%s compares %s with %s, which are never equal", symbol, typeWord(left), typeWord(right))
	}))
	return fine
}

// convertHint says how two types come together.
func convertHint(left, right *types.Type) string {
	words := typeWord(left) + " " + typeWord(right)
	if strings.Contains(words, "string") {
		for _, other := range []string{"int", "double", "timestamp", "duration"} {
			if strings.Contains(words, other) {
				return "convert one side: string(x) or " + other + "(x); or drop the quotes around a number"
			}
		}
	}
	return "compare values of the same type"
}

// canBeEqual tells whether values of the two types can be equal at all.
func canBeEqual(a, b *types.Type) bool {
	loose := func(t *types.Type) bool {
		switch t.Kind() {
		case types.DynKind, types.AnyKind, types.ErrorKind, types.TypeParamKind, types.NullTypeKind, types.UnspecifiedKind:
			return true
		}
		return false
	}
	numeric := func(t *types.Type) bool {
		return t.Kind() == types.IntKind || t.Kind() == types.UintKind || t.Kind() == types.DoubleKind
	}
	if loose(a) || loose(b) || numeric(a) && numeric(b) {
		return true
	}
	if a.Kind() != b.Kind() {
		return false
	}
	if kind := a.Kind(); kind != types.ListKind && kind != types.MapKind {
		return true
	}
	for i, p := range a.Parameters() {
		if i < len(b.Parameters()) && !canBeEqual(p, b.Parameters()[i]) {
			return false
		}
	}
	return true
}
