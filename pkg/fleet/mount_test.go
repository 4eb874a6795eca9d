package fleet

import "testing"

func TestAMountShowsAFile(t *testing.T) {
	for _, row := range []struct{ path, sub, file, want string }{
		{"/etc/app", "", "setenv.sh", "/etc/app/setenv.sh"},
		{"/etc/app", "conf", "conf/a/setenv.sh", "/etc/app/a/setenv.sh"},
		{"/bin/setenv.sh", "setenv.sh", "setenv.sh", "/bin/setenv.sh"},
		{"/bin/setenv.sh", "$(POD)/setenv.sh", "setenv.sh", "/bin/setenv.sh"},
		{"/bin/other.sh", "$(POD)/setenv.sh", "setenv.sh", ""},
		{"/bin/setenv.sh", "other.sh", "setenv.sh", ""},
		{"/etc/app", "conf", "config/setenv.sh", ""},
	} {
		if got := (Mount{Path: row.path, SubPath: row.sub}).Shows(row.file); got != row.want {
			t.Errorf("%s of %q shows %s as %q, want %q", row.path, row.sub, row.file, got, row.want)
		}
	}
}
