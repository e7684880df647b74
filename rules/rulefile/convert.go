package rulefile

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-faster/jx"

	"github.com/nudged/nudged/rules"
	"github.com/nudged/nudged/rules/eventtime"
)

// errAbsent is what an expression gets for what is not there. It is one value,
// because it is needed often.
var errAbsent = types.NewErr("not there")

var errNotJSON = types.NewErr("not JSON")

// toCEL gives a present value to an expression; what is absent is an error.
func toCEL(v rules.Value) ref.Val {
	switch v.Kind {
	case rules.Bool:
		return types.Bool(v.Bool())
	case rules.Int:
		return types.Int(v.Int())
	case rules.Float:
		return types.Double(v.Float())
	case rules.String:
		return types.String(v.Str())
	case rules.Time:
		return types.Timestamp{Time: time.UnixMilli(v.Int()).UTC()}
	case rules.JSON:
		return fromJSON(v.Str())
	}
	return errAbsent
}

// jsonMap and jsonList are an object and an array of an event. They remember
// their text, so that passing one on changes nothing in it.
type jsonMap struct {
	*orderedMap
	text string
}

type jsonList struct {
	traits.Lister
	text string
}

// fromJSON reads an array or object; the result is an error if it is not JSON.
func fromJSON(text string) ref.Val {
	d := jx.DecodeStr(text)
	v, err := decode(d)
	if err != nil || v == nil || d.Next() != jx.Invalid {
		return errNotJSON
	}
	switch v := v.(type) {
	case *orderedMap:
		return &jsonMap{v, text}
	case traits.Lister:
		return &jsonList{v, text}
	}
	return v
}

// decode reads one JSON value; nil stands for null.
func decode(d *jx.Decoder) (ref.Val, error) {
	switch d.Next() {
	case jx.String:
		s, err := d.Str()
		return types.String(s), err
	case jx.Number:
		n, err := d.Num()
		if err != nil {
			return nil, err
		}
		return number(string(n))
	case jx.Bool:
		b, err := d.Bool()
		return types.Bool(b), err
	case jx.Null:
		return nil, d.Null()
	case jx.Array:
		list := []ref.Val{}
		err := d.Arr(func(d *jx.Decoder) error {
			v, err := decode(d)
			if v == nil {
				// A list keeps its places.
				v = types.NullValue
			}
			list = append(list, v)
			return err
		})
		return types.NewRefValList(types.DefaultTypeAdapter, list), err
	}
	return decodeObject(d)
}

func decodeObject(d *jx.Decoder) (ref.Val, error) {
	entries := map[string]ref.Val{}
	err := d.Obj(func(d *jx.Decoder, key string) error {
		v, err := decode(d)
		if v == nil {
			// null reads as absent.
			delete(entries, key)
		} else {
			entries[key] = v
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names)
	keys, values := make([]ref.Val, len(names)), make([]ref.Val, len(names))
	for i, name := range names {
		keys[i], values[i] = types.String(name), entries[name]
	}
	return newOrderedMap(keys, values), nil
}

// number is an int if it is written like one and fits, else a double.
func number(text string) (ref.Val, error) {
	if !strings.ContainsAny(text, ".eE") {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return types.Int(i), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, err
	}
	return types.Double(f), nil
}

// fromCEL takes the result of an expression; what has no form in JSON is absent.
func fromCEL(v ref.Val) rules.Value {
	switch v := v.(type) {
	case types.Bool:
		return rules.BoolValue(bool(v))
	case types.Int:
		return rules.IntValue(int64(v))
	case types.Uint:
		if uint64(v) <= math.MaxInt64 {
			return rules.IntValue(int64(v))
		}
	case types.Double:
		if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return rules.FloatValue(f)
		}
	case types.String:
		return rules.StringValue(string(v))
	case types.Timestamp:
		return rules.TimeValue(v.UnixMilli())
	case types.Duration:
		return rules.StringValue(v.Duration.String())
	case *jsonMap:
		return rules.JSONValue(v.text)
	case *jsonList:
		return rules.JSONValue(v.text)
	case traits.Mapper, traits.Lister:
		if tree, ok := plain(v); ok {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if enc.Encode(tree) == nil {
				return rules.JSONValue(strings.TrimSuffix(b.String(), "\n"))
			}
		}
	}
	return rules.Value{}
}

// plain is a value as encoding/json writes it, maps by key.
func plain(v ref.Val) (tree any, ok bool) {
	switch v := v.(type) {
	case types.Null:
		return nil, true
	case *jsonMap:
		return json.RawMessage(v.text), true
	case *jsonList:
		return json.RawMessage(v.text), true
	case traits.Mapper:
		m := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			name, ok := keyText(k)
			if _, twice := m[name]; !ok || twice {
				return nil, false
			}
			value, _ := v.Find(k)
			if m[name], ok = plain(value); !ok {
				return nil, false
			}
		}
		return m, true
	case traits.Lister:
		list := []any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			item, ok := plain(it.Next())
			if !ok {
				return nil, false
			}
			list = append(list, item)
		}
		return list, true
	}
	value := fromCEL(v)
	switch value.Kind {
	case rules.Bool:
		return value.Bool(), true
	case rules.Int:
		return value.Int(), true
	case rules.Float:
		return value.Float(), true
	case rules.String:
		return value.Str(), true
	case rules.Time:
		return string(eventtime.AppendRFC3339(nil, value.Int())), true
	}
	return nil, false
}

// keyText is a map key as JSON writes it.
func keyText(k ref.Val) (string, bool) {
	switch k := k.(type) {
	case types.String:
		return string(k), true
	case types.Int:
		return strconv.FormatInt(int64(k), 10), true
	case types.Uint:
		return strconv.FormatUint(uint64(k), 10), true
	case types.Bool:
		return strconv.FormatBool(bool(k)), true
	}
	return "", false
}
