package config

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"

	kjson "sigs.k8s.io/json"
)

// DecodeJSON is json.Unmarshal for what holds fields or flags of a kubelet: below an `any`, a number without a fraction
// becomes an int64, while encoding/json makes a float64 of it and loses what is above 2^53. Keys have to have the right
// case, as for a kubelet.
func DecodeJSON(data []byte, into any) error {
	return kjson.UnmarshalCaseSensitivePreserveInts(data, into)
}

// tidy copies a value into the few types that the rest of the package knows:
// nil, bool, string, int64, float64, []any and map[string]any. YAML writes 5.0
// and 5 alike and so does the kubelet read them: both become an int64.
func tidy(value any) any {
	if n, ok := value.(json.Number); ok {
		if i, err := n.Int64(); err == nil {
			return i
		}
		f, err := n.Float64()
		if err != nil {
			return string(n)
		}
		return tidy(f)
	}
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Invalid:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return tidy(v.Elem().Interface())
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if u := v.Uint(); u <= math.MaxInt64 {
			return int64(u)
		}
		return float64(v.Uint())
	case reflect.Float32, reflect.Float64:
		f := v.Float()
		if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f)
		}
		return f
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = tidy(v.Index(i).Interface())
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for it := v.MapRange(); it.Next(); {
			m[fmt.Sprint(it.Key().Interface())] = tidy(it.Value().Interface())
		}
		return m
	}
	return fmt.Sprint(value)
}

// describe says what a tidy value is, for "wanted ..., got ...".
func describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return fmt.Sprintf("the boolean %t", v)
	case string:
		if len(v) > 60 {
			v = v[:60] + "..."
		}
		return fmt.Sprintf("the string %q", v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("%T", value)
}

// withoutNulls removes keys that are null: the user took a default back.
func withoutNulls(m map[string]any) {
	for key, value := range m {
		switch v := value.(type) {
		case nil:
			delete(m, key)
		case map[string]any:
			withoutNulls(v)
		}
	}
}
