package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"sigs.k8s.io/yaml"
)

func TestHideSecrets(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"no secret", "maxPods: 110\nstaticPodURL: http://h/p\n", "maxPods: 110\nstaticPodURL: http://h/p\n"},
		{
			"block",
			"staticPodURL: https://u:pw@h/p?sig=1\nstaticPodURLHeader:\n  Authorization:\n  - Bearer pw\n\n  X-Other: [a]\nstreaming: 1m\n",
			"staticPodURL: https://(hidden)@h/p?(hidden)\nstaticPodURLHeader:\n  (hidden)\n  (hidden)\n\n  (hidden)\nstreaming: 1m\n",
		},
		{"flow", "staticPodURLHeader: {A: [pw]}\nmaxPods: 1\n", "staticPodURLHeader: (hidden)\nmaxPods: 1\n"},
		{
			"flow over lines, without indentation",
			"staticPodURLHeader: {A: [\"pw\npw\"],\nB: [pw]\n}\nmaxPods: 1\n",
			"staticPodURLHeader: (hidden)\n(hidden)\n(hidden)\n(hidden)\nmaxPods: 1\n",
		},
		{"a quote that is never closed", "staticPodURLHeader:\n  A: ['pw\npw\nmaxPods: 1\n", "staticPodURLHeader:\n  (hidden)\n(hidden)\nmaxPods: 1\n"},
		{"a comment within", "staticPodURLHeader:\n# of old\n  A:\n  # pw\n  - pw\nmaxPods: 1\n", "staticPodURLHeader:\n# of old\n  (hidden)\n  (hidden)\n  (hidden)\nmaxPods: 1\n"},
		{"carriage returns", "staticPodURLHeader:\r\n  A: [pw]\r\nmaxPods: 1\r\n", "staticPodURLHeader:\r\n  (hidden)\r\nmaxPods: 1\r\n"},
		{"no line end", "staticPodURLHeader: pw", "staticPodURLHeader: (hidden)"},
		{
			"JSON", "{\n  \"staticPodURLHeader\": {\n    \"A\": [\n      \"pw\"\n    ]\n  },\n  \"maxPods\": 1\n}\n",
			"{\n  \"staticPodURLHeader\": (hidden)\n    (hidden)\n      (hidden)\n    (hidden)\n  (hidden)\n  \"maxPods\": 1\n}\n",
		},
		{"JSON on one line", `{"maxPods":1,"staticPodURLHeader":{"A":["pw"]}}`, `{"maxPods":1,"staticPodURLHeader":(hidden)`},
		{
			"spec", "kubeletConfiguration:\n  staticPodURLHeader:\n    A: [pw]\n  maxPods: 1\nflags:\n  storage-driver-password: pw\n  v: 2\nsources:\n- https://u:pw@h\n",
			"kubeletConfiguration:\n  staticPodURLHeader:\n    (hidden)\n  maxPods: 1\nflags:\n  storage-driver-password: (hidden)\n  v: 2\nsources:\n- https://(hidden)@h\n",
		},
		{
			"unit", "ExecStart=/bin/kubelet \\\n    --config=/c \\\n    \"--manifest-url-header=A:Bearer pw\" \\\n    --manifest-url=http://u:pw@h/p \\\n    --v=2\nRestart=always\n",
			"ExecStart=/bin/kubelet \\\n    --config=/c \\\n    \"--manifest-url-header=(hidden)\" \\\n    --manifest-url=http://(hidden)@h/p \\\n    --v=2\nRestart=always\n",
		},
		{"a value of its own", "ExecStart=/bin/kubelet --manifest-url-header A:pw --v=2\n", "ExecStart=/bin/kubelet --manifest-url-header (hidden)\n"},
		{"a value in the next line", "--manifest-url-header \\\n  A:pw \\\n  --v=2\nX=1\n", "--manifest-url-header \\\n  (hidden)\n  (hidden)\nX=1\n"},
		{"--set", "kubeletctl install --set staticPodURLHeader.A=[pw]", "kubeletctl install --set staticPodURLHeader.A=(hidden)"},
		{
			"a private key", "a: |\n  -----BEGIN EC PRIVATE KEY-----\n  pw\n\n  -----END EC PRIVATE KEY-----\nb: 1\n",
			"a: |\n  (hidden)\n(hidden)\n(hidden)\n(hidden)\nb: 1\n",
		},
		{"a certificate", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"},
		{
			"kubeconfig", "users:\n- name: u\n  user:\n    client-certificate-data: QUI=\n    client-key-data: cHc=\n    token: pw\n",
			"users:\n- name: u\n  user:\n    client-certificate-data: QUI=\n    client-key-data: (hidden)\n    token: (hidden)\n",
		},
		{"a token anywhere", "got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwdyJ9.pw-_pw from a", "got (hidden) from a"},
		{"underscores", "--storage_driver_password=pw", "--storage_driver_password=(hidden)"},
		{"unknown flag", "--bootstrap-token=pw", "--bootstrap-token=(hidden)"},
		{
			"flags and fields that only sound like it", "--authentication-token-webhook=true --authentication-token-webhook-cache-ttl=2m\nconfigMapAndSecretChangeDetectionStrategy: Watch\n",
			"--authentication-token-webhook=true --authentication-token-webhook-cache-ttl=2m\nconfigMapAndSecretChangeDetectionStrategy: Watch\n",
		},
		{
			"gates", "--feature-gates=TokenRequest=true,X=false --v=2\n{\"TokenRequest\":true,\"X\":false}\nfeatureGates:\n  KubeletEnsureSecretPulledImages: true\n",
			"--feature-gates=TokenRequest=true,X=false --v=2\n{\"TokenRequest\":true,\"X\":false}\nfeatureGates:\n  KubeletEnsureSecretPulledImages: true\n",
		},
		{
			"environment", "HTTPS_PROXY=http://u:p@w@h:3128\nhttp_proxy='u:pw@h'\nNO_PROXY=10.0.0.0/8,.local\nexport MY_TOKEN=\"pw\"\nDB_PASSWORD=pw\nAWS_SECRET_ACCESS_KEY=pw\n",
			"HTTPS_PROXY=http://(hidden)@h:3128\nhttp_proxy='(hidden)@h'\nNO_PROXY=10.0.0.0/8,.local\nexport MY_TOKEN=(hidden)\nDB_PASSWORD=(hidden)\nAWS_SECRET_ACCESS_KEY=(hidden)\n",
		},
		{
			"environment of a unit", "Environment=\"HTTP_PROXY=http://u:p w@h\" A=1\nEnvironment=\"HTTPS_PROXY=http://u:pw\\x40h\"\nEnvironment=A=1 B_TOKEN=pw\n",
			"Environment=\"HTTP_PROXY=http://(hidden)@h\" A=1\nEnvironment=\"HTTPS_PROXY=(hidden)\"\nEnvironment=A=1 B_TOKEN=(hidden)\n",
		},
		{"header in a text", "it sent Authorization: Basic cHc=", "it sent Authorization: (hidden)"},
		{"token in a text", `the answer to "Bearer pw" was 401`, `the answer to "Bearer (hidden)" was 401`},

		{
			"diff", "--- a\n+++ b\n@@ -1,5 +1,5 @@\n maxPods: 1\n staticPodURLHeader:\n   Authorization:\n-  - Bearer pw\n+  - Bearer pw2\n streaming: 1m\n",
			"--- a\n+++ b\n@@ -1,5 +1,5 @@\n maxPods: 1\n staticPodURLHeader:\n   (hidden)\n-  (hidden)\n+  (hidden)\n streaming: 1m\n",
		},
		{
			"diff that begins within the value", "@@ -8,3 +8,3 @@\n   - pw1\n-  - pw\n+  - pw2\n streaming: 1m\n@@ -20,2 +20,2 @@\n   limits:\n-    memory: 1Gi\n+    memory: 2Gi\n",
			"@@ -8,3 +8,3 @@\n   (hidden)\n-  (hidden)\n+  (hidden)\n streaming: 1m\n@@ -20,2 +20,2 @@\n   limits:\n-    memory: 1Gi\n+    memory: 2Gi\n",
		},
		{
			"diff in which the key changes", "@@ -1,3 +1,3 @@\n-staticPodURLHeader:\n+evictionHard:\n   A:\n   - pw\n+maxPods: 1\n",
			"@@ -1,3 +1,3 @@\n-staticPodURLHeader:\n+evictionHard:\n   (hidden)\n   (hidden)\n+maxPods: 1\n",
		},
		{
			"diff of a unit", "@@ -3,3 +3,3 @@\n     --v=2 \\\n-    \"--manifest-url-header=A:pw\" \\\n+    \"--manifest-url-header=A:pw2\" \\\n     --node-ip=10.0.0.1\n",
			"@@ -3,3 +3,3 @@\n     --v=2 \\\n-    \"--manifest-url-header=(hidden)\" \\\n+    \"--manifest-url-header=(hidden)\" \\\n     --node-ip=10.0.0.1\n",
		},
		{"line of a diff", "+staticPodURLHeader: {A: [pw]}", "+staticPodURLHeader: (hidden)"},
		{"removed line", "-HTTPS_PROXY=http://u:pw@h", "-HTTPS_PROXY=http://(hidden)@h"},
		{"removed item", "-  - pw", "-  (hidden)"},
		{"removed flag", "---manifest-url-header=A:pw", "---manifest-url-header=(hidden)"},
		{"items that are none of a header", "+clusterDNS:\n+- 10.0.0.10\n-- 10.0.0.11\n", "+clusterDNS:\n+- 10.0.0.10\n-- 10.0.0.11\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := string(HideSecrets([]byte(tt.text)))
			if got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
			if again := string(HideSecrets([]byte(got))); again != got {
				t.Errorf("masked again, it is:\n%s", again)
			}
		})
	}
}

// What has no secret is shown as it is: the defaults of every release.
func TestHideSecretsLeavesDefaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if masked := HideSecrets(text); string(masked) != string(text) {
			t.Errorf("%s", diff.Diff(file, text, "masked", masked))
		}
		changed := diff.Diff("a", text, "b", []byte(strings.ReplaceAll(string(text), "true", "false")))
		if masked := HideSecrets(changed); string(masked) != string(changed) {
			t.Errorf("%s", diff.Diff(file, changed, "masked", masked))
		}
	}
}

// known is a part of every secret that the fuzz test makes.
const known = "S3CR3TofMINE"

// A secret survives in no form in which it is written anywhere, whatever is around it.
func FuzzHideSecrets(f *testing.F) {
	for _, around := range []string{"", " ", "@", "/", "?", "#", "'", `"`, `\`, "%", "$", "{", "[", "]", "}", ": ", "- ", "=", ",", "--x", "\t", "ü", "true", "true ", "true,", "false@", "http://", "\\x40", " \\", "Bearer "} {
		f.Add("Authorization", around, "")
		f.Add("X-Key", "", around)
		f.Add(around, around, around)
	}
	f.Fuzz(func(t *testing.T, header, before, after string) {
		for form, text := range writtenForms(header, before+known+after) {
			if masked := string(HideSecrets([]byte(text))); strings.Contains(masked, known) {
				t.Errorf("%s:\n%s\nis masked as:\n%s", form, text, masked)
			}
		}
	})
}

// writtenForms are all forms in which a secret is written to files and shown.
func writtenForms(header, secret string) map[string]string {
	oneLine := func(s string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x85 || r == 0x2028 || r == 0x2029 || r == '\uFFFD' {
				return 'x'
			}
			return r
		}, s)
	}
	header, secret = oneLine(header), oneLine(secret)
	fields := tree{"maxPods": 1, "staticPodURLHeader": tree{"A": []any{"a"}, header: []any{"1", "2", "3", "4", secret, "last"}}, "streamingConnectionIdleTimeout": "1m"}
	other := tree{"maxPods": 2, "staticPodURLHeader": tree{"A": []any{"a"}, header: []any{"1", "2", "3", "4", secret + "2", "last"}}}
	forms := map[string]string{}
	for name, value := range map[string]any{"fields": fields, "spec": tree{"kubeletConfiguration": fields, "flags": tree{"manifest-url-header": header + ":" + secret, "v": 2}}} {
		block, _ := yaml.Marshal(value)
		indented, _ := json.MarshalIndent(value, "", "  ")
		short, _ := json.Marshal(value)
		forms[name+", YAML"], forms[name+", JSON"], forms[name+", JSON in one line"] = string(block), string(indented), string(short)
	}
	changed, _ := yaml.Marshal(other)
	forms["diff"] = string(diff.Diff("a", []byte(forms["fields, YAML"]), "b", changed))
	forms["diff back"] = string(diff.Diff("b", changed, "a", []byte(forms["fields, YAML"])))
	forms["masked fields"] = fmt.Sprint(MaskFields(fields))

	quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(secret) + `"`
	for name, value := range map[string]string{"bare": secret, "quoted": quoted} {
		for _, item := range []string{"MY_TOKEN", "my_password", "A_SECRET_B"} {
			forms[item+", "+name] = item + "=" + value
			forms[item+" of a unit, "+name] = "Environment=A=b " + item + "=" + value + "\n"
		}
		for _, flag := range []string{"manifest-url-header", "storage-driver-password", "new-token"} {
			forms["--"+flag+", "+name] = "ExecStart=/bin/kubelet \\\n    --" + flag + "=" + value + " \\\n    --v=2\n"
			forms["--"+flag+" in a diff, "+name] = "@@ -1,2 +1,2 @@\n     --v=2 \\\n-    --" + flag + "=" + value + " \\\n+    --" + flag + "=x \\\n"
			forms["--"+flag+" apart, "+name] = "--" + flag + " " + value
			forms["--"+flag+" masked, "+name] = maskFlag(flag, value)
		}
	}
	for _, variable := range []string{"HTTPS_PROXY", "http_proxy"} {
		proxy := variable + "=http://user:" + secret + "@proxy:3128"
		forms[variable] = proxy
		forms[variable+" of a unit"] = "[Service]\nEnvironment=\"" + proxy + "\"\n"
		forms[variable+" removed"] = "-" + proxy
	}
	return forms
}

// A line has a sign of whatever is masked in it.
func TestHideInLine(t *testing.T) {
	for _, line := range []string{
		"", "maxPods: 110", "staticPodURL: https://u:pw@h/p?sig=1", "staticPodURLHeader: pw", "GET http://u:pw@h: refused", "--manifest-url-header=A:pw",
		"--storage-driver-password pw", "manifest_url=u:pw@h", "http_proxy=u:pw@h", "password: pw", "X_SECRET=pw", "Authorization: pw", "a Bearer pw", "a Basic pw",
		"client-key-data: pw", "API_KEY=pw", "eyJhbGciOiJSUzI1NiJ9.pw.pw", `"-----BEGIN PRIVATE KEY-----\npw"`,
	} {
		got := HideInLine(line)
		if want := string(HideSecrets([]byte(line))); got != want || strings.Contains(got, "pw") {
			t.Errorf("%q: %q, HideSecrets has %q", line, got, want)
		}
	}
}
