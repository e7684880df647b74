package rulefile

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// orderedMap is a CEL map whose keys come in a fixed order, by type and then by
// value. A JSON object is one from the start.
type orderedMap struct {
	keys, values []ref.Val
	byText       map[string]int // of the string keys, if there are many keys
}

// linear is how many keys are searched one by one.
const linear = 8

func newOrderedMap(keys, values []ref.Val) *orderedMap {
	m := &orderedMap{keys: keys, values: values}
	if len(keys) > linear {
		m.byText = make(map[string]int, len(keys))
		for i, k := range keys {
			if s, ok := k.(types.String); ok {
				m.byText[string(s)] = i
			}
		}
	}
	return m
}

// orderedOf sorts a map's entries.
func orderedOf(m traits.Mapper) traits.Mapper {
	switch m.(type) {
	case *orderedMap, *jsonMap:
		return m
	}
	var keys, values []ref.Val
	for it := m.Iterator(); it.HasNext() == types.True; {
		keys = append(keys, it.Next())
	}
	slices.SortFunc(keys, compareKeys)
	for _, k := range keys {
		v, _ := m.Find(k)
		values = append(values, v)
	}
	return newOrderedMap(keys, values)
}

func compareKeys(a, b ref.Val) int {
	if c := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); c != 0 {
		return c
	}
	if x, ok := a.(types.String); ok {
		return strings.Compare(string(x), string(b.(types.String)))
	}
	if x, ok := a.(traits.Comparer); ok {
		if c, ok := x.Compare(b).(types.Int); ok {
			return int(c)
		}
	}
	return strings.Compare(fmt.Sprint(a.Value()), fmt.Sprint(b.Value()))
}

// Find implements traits.Mapper: numbers of different types are one key.
func (m *orderedMap) Find(key ref.Val) (ref.Val, bool) {
	if types.IsUnknownOrError(key) {
		return key, false
	}
	if s, ok := key.(types.String); ok && m.byText != nil {
		i, ok := m.byText[string(s)]
		if !ok {
			return nil, false
		}
		return m.values[i], true
	}
	for i, k := range m.keys {
		if types.Equal(k, key) == types.True {
			return m.values[i], true
		}
	}
	return nil, false
}

// Contains implements traits.Container.
func (m *orderedMap) Contains(key ref.Val) ref.Val {
	v, found := m.Find(key)
	if !found && v != nil {
		return v
	}
	return types.Bool(found)
}

// Get implements traits.Indexer.
func (m *orderedMap) Get(key ref.Val) ref.Val {
	v, found := m.Find(key)
	if !found {
		return types.ValOrErr(v, "no such key: %v", key)
	}
	return v
}

// Iterator implements traits.Iterable.
func (m *orderedMap) Iterator() traits.Iterator {
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys).Iterator()
}

// Size implements traits.Sizer.
func (m *orderedMap) Size() ref.Val { return types.Int(len(m.keys)) }

// Equal implements ref.Val.
func (m *orderedMap) Equal(other ref.Val) ref.Val {
	o, ok := other.(traits.Mapper)
	if !ok || m.Size() != o.Size() {
		return types.False
	}
	for i, k := range m.keys {
		v, found := o.Find(k)
		if !found || types.Equal(m.values[i], v) != types.True {
			return types.False
		}
	}
	return types.True
}

// ConvertToNative implements ref.Val.
func (m *orderedMap) ConvertToNative(t reflect.Type) (any, error) {
	if reflect.TypeOf(m).AssignableTo(t) {
		return m, nil
	}
	return nil, fmt.Errorf("no conversion of a map to %v", t)
}

// ConvertToType implements ref.Val.
func (m *orderedMap) ConvertToType(t ref.Type) ref.Val {
	switch t {
	case types.MapType:
		return m
	case types.TypeType:
		return types.MapType
	}
	return types.NewErr("type conversion error from map to '%s'", t)
}

// Type implements ref.Val.
func (m *orderedMap) Type() ref.Type { return types.MapType }

// Value implements ref.Val.
func (m *orderedMap) Value() any { return m }
