package config
import ("testing";"fmt")
func TestScratch(t *testing.T){
 for _,m:=range []Minor{13,37}{ for _,sa:=range []bool{false,true}{
 o,err:=Render(Input{Minor:m,Standalone:sa}); fmt.Println(m,sa,err); if err==nil{fmt.Println(o.Args);fmt.Println(string(o.Config),o.Notes,o.Warnings)}}}
 o,err:=Render(Input{Minor:37,Flags:map[string]string{"network-plugin":"cni","container-runtime":"remote","image-pull-progress-deadline":"2m","cgroup_driver":"cgroupfs","machine-id-file":"/x"," x":"1","cgroup-drivr":"x","cgroupDriver":"s","node-labels":"node-role.kubernetes.io/x=","runonce":"true","max-pods":"a"},Config:map[string]any{"maxPodz":1,"readonlyPort":1,"cgroup-driver":"x","verbosity":2,"kubeReserved":map[string]any{"cpu":1},"registerWithTaints":[]any{map[string]any{"ky":"a"}}}})
 fmt.Println(o,err)
 var s struct{ Version string `json:"version"`; L []struct{U string `json:"url"`} `json:"sources"`; M map[string]any `json:"kubeletConfiguration"`}
 for _,y:=range []string{"Version: 1\nversion: 1\nverson: x\nsources: [{url: 1}, {ul: x}, 5]\nkubeletConfiguration:\n  a: 1\n  a: 2\n","a: [1\nb: 2","\ta: b","a: b\n---\nb: c\n","","---\n# c\n","a: &x [*x]\n","version: yes\n", "kubeletConfiguration: &a {x: 1}\nversion: *a\n","a: b\n c: d\n","version: a\n---\n"}{
  p,err:=DecodeStrict("spec.yaml",[]byte(y),&s); fmt.Printf("%q\n%v\n%v\n",y,err,p)
 }
}
