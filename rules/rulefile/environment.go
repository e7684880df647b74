package rulefile

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/nudged/nudged/rules"
)

const (
	maxExpression  = 4096    // characters
	maxRecursion   = 64      // levels of an expression
	maxLoops       = 3       // loops inside of each other
	maxRegexSize   = 1000    // instructions of a compiled pattern
	costLimit      = 100_000 // CEL cost units: some 10 ms
	orderedName    = "@ordered"
	inListOverload = "nudged_in_list"
	inMapOverload  = "nudged_in_map"
)

// environment is the CEL environment of a set and the variables known to it.
//
// Names such as event.price or user.age become CEL variables of just that name,
// declared when an expression first uses them: each has a type of its own, and a
// program asks for what it reads and nothing else.
type environment struct {
	cel       *cel.Env
	variables map[string]*variable
	functions []string // names that can be called, for suggestions
}

// variable is one name that expressions read.
type variable struct {
	name string
	typ  *cel.Type
	read rules.Expr // Absent is an error in CEL's sense
	slot int        // of the event at hand, -1 if it is no field of it
}

func newEnvironment() (*environment, error) {
	a, b, c := cel.TypeParamType("A"), cel.TypeParamType("B"), cel.TypeParamType("C")
	// CEL's own declarations refuse to compare an int with a double, though at
	// run time it compares them well. Here any two types are accepted, and
	// checkComparisons refuses what can never be equal.
	standard := env.NewLibrarySubset().AddExcludedFunctions(
		&env.Function{Name: operators.Equals}, &env.Function{Name: operators.NotEquals}, &env.Function{Name: operators.In})
	e, err := cel.NewCustomEnv(
		cel.StdLib(cel.StdLibSubset(standard)),
		cel.Function(operators.Equals,
			cel.Overload("equals", []*cel.Type{a, b}, cel.BoolType),
			cel.SingletonBinaryBinding(types.Equal)),
		cel.Function(operators.NotEquals,
			cel.Overload("not_equals", []*cel.Type{a, b}, cel.BoolType),
			cel.SingletonBinaryBinding(func(l, r ref.Val) ref.Val { return types.Bool(types.Equal(l, r) != types.True) })),
		// Not the standard overloads' names: those are turned into a hash set,
		// which compares large ints and doubles another way than == does.
		cel.Function(operators.In,
			cel.Overload(inListOverload, []*cel.Type{a, cel.ListType(b)}, cel.BoolType),
			cel.Overload(inMapOverload, []*cel.Type{a, cel.MapType(b, c)}, cel.BoolType),
			cel.SingletonBinaryBinding(in)),
		cel.Function(orderedName,
			cel.Overload("nudged_ordered", []*cel.Type{a}, a),
			cel.SingletonUnaryBinding(ordered)),
		cel.CrossTypeNumericComparisons(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.DefaultUTCTimeZone(true),
		cel.StrictTimestampParsing(true),
		cel.ParserRecursionLimit(maxRecursion),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.RegexProgramSizeLimit(maxRegexSize),
		cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateComprehensionNestingLimit(maxLoops)),
	)
	if err != nil {
		return nil, err
	}
	out := &environment{cel: e, variables: map[string]*variable{}}
	for name := range e.Functions() {
		if isIdentifier(name) {
			out.functions = append(out.functions, name)
		}
	}
	for _, m := range e.Macros() {
		if name := m.Function(); isIdentifier(name) && !slices.Contains(out.functions, name) {
			out.functions = append(out.functions, name)
		}
	}
	slices.Sort(out.functions)
	return out, nil
}

// declare makes the variables known to the environment.
func (e *environment) declare(vars map[string]*variable) error {
	var options []cel.EnvOption
	for name, v := range vars {
		if e.variables[name] == nil {
			e.variables[name] = v
			options = append(options, cel.Variable(name, v.typ))
		}
	}
	if len(options) == 0 {
		return nil
	}
	extended, err := e.cel.Extend(options...)
	if err != nil {
		return err
	}
	e.cel = extended
	return nil
}

func in(element, container ref.Val) ref.Val {
	if c, ok := container.(traits.Container); ok {
		return c.Contains(element)
	}
	return types.MaybeNoSuchOverloadErr(container)
}

// ordered makes loops over a map go by key: CEL's own maps have no fixed order,
// and a rule has to give the same answer every time.
func ordered(v ref.Val) ref.Val {
	if m, ok := v.(traits.Mapper); ok {
		return orderedOf(m)
	}
	return v
}

// costEstimator tells the cost of the overloads that are not CEL's own.
type costEstimator struct{}

func (costEstimator) EstimateSize(cost.AstNode) *cost.SizeEstimate { return nil }

func (costEstimator) EstimateCallCost(_, overload string, _ *cost.AstNode, args []cost.AstNode) *cost.CallEstimate {
	if overload == inListOverload && len(args) == 2 {
		if size := args[1].ComputedSize(); size != nil {
			return cost.NewCallEstimate(cost.Estimate{Min: 1, Max: max(size.Max, 1)}, nil)
		}
	}
	return nil
}

func inListCost(args []ref.Val, _ ref.Val) *uint64 {
	units := uint64(1)
	if len(args) == 2 {
		if list, ok := args[1].(traits.Lister); ok {
			if n, ok := list.Size().(types.Int); ok && n > 1 {
				units = uint64(n)
			}
		}
	}
	return &units
}

// plan makes a program of a checked expression. Only loops and patterns that are
// not known beforehand can make it cost more than its length times the size of
// the event, so that only those are counted as they run: counting makes a
// program several times slower.
func (e *environment) plan(a *ast.AST) (cel.Program, error) {
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	if hasLoops(a.Expr()) {
		options = append(options,
			cel.CostLimit(costLimit),
			cel.CostTrackerOptions(cost.OverloadTracker(inListOverload, inListCost)))
	}
	return e.cel.PlanProgram(a, options...)
}

// hasLoops tells whether the expression loops, or matches a pattern that comes
// from the event.
func hasLoops(root ast.Expr) bool {
	found := false
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.ComprehensionKind:
			found = true
		case ast.CallKind:
			call := e.AsCall()
			if args := call.Args(); call.FunctionName() == "matches" && len(args) > 0 && args[len(args)-1].Kind() != ast.LiteralKind {
				found = true
			}
		}
	}))
	return found
}

// tooCostly tells whether the expression exceeds the cost limit in any case.
func (e *environment) tooCostly(a *cel.Ast) bool {
	estimate, err := e.cel.EstimateCost(a, costEstimator{})
	return err == nil && estimate.Min > costLimit
}
