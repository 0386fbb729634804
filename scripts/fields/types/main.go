// Command types prints the fields of the KubeletConfiguration of one release of k8s.io/kubelet, one a line: the path as
// package config writes it, and the Go type. The release is chosen by -modfile.
package main

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"k8s.io/kubelet/config/v1beta1"
)

func main() {
	print("", reflect.TypeFor[v1beta1.KubeletConfiguration]())
}

func print(path string, t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if strings.Contains(options, "inline") || name == "" && f.Anonymous {
			print(path, f.Type)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		at := name
		if path != "" {
			at = path + "." + name
		}
		fmt.Fprintln(os.Stdout, at, kind(f.Type))
		deeper := f.Type
		for deeper.Kind() == reflect.Pointer || deeper.Kind() == reflect.Slice {
			if deeper.Kind() == reflect.Slice {
				at += "[]"
			}
			deeper = deeper.Elem()
		}
		if deeper.Kind() == reflect.Struct && kind(deeper) == "object" {
			print(at, deeper)
		}
	}
}

// kind is the type in the words of the table.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Slice:
		return "[]" + kind(t.Elem())
	case reflect.Map:
		return "map[string]" + kind(t.Elem())
	case reflect.Struct:
		switch t.Name() {
		case "Duration", "TimeOrMetaDuration":
			return "duration"
		case "Quantity", "QuantityValue":
			return "quantity"
		case "Time":
			return "string"
		}
		return "object"
	}
	return t.Kind().String()
}
