package keys

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
)

func made(t *testing.T) (dir string, set *Set) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "keys")
	if err := Init(dir); err != nil {
		t.Fatalf("init: %v", err)
	}
	set, err := Load(dir)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return dir, set
}

func TestALoadedSetIsTheOneThatWasMade(t *testing.T) {
	dir, first := made(t)
	second, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.ClusterID() != second.ClusterID() || !bytes.Equal(first.Master(), second.Master()) || first.routePin != second.routePin {
		t.Error("two loads of one folder differ")
	}
	_, other := made(t)
	if first.ClusterID() == other.ClusterID() || bytes.Equal(first.Master(), other.Master()) || first.routePin == other.routePin {
		t.Error("two clusters share key material")
	}
}

func TestFilesAreForTheOwnerOnly(t *testing.T) {
	dir, _ := made(t)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("mode of the folder is %04o, want 0700", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(entries); got != len(names()) {
		t.Errorf("got %d files, want %d", got, len(names()))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s is %04o, want 0600", e.Name(), got)
		}
	}
}

func TestInitNeverOverwrites(t *testing.T) {
	for _, left := range names() {
		t.Run(left, func(t *testing.T) {
			dir, _ := made(t)
			for _, name := range names() {
				if name != left {
					if err := os.Remove(filepath.Join(dir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			before, err := os.ReadFile(filepath.Join(dir, left))
			if err != nil {
				t.Fatal(err)
			}
			if err := Init(dir); !errors.Is(err, ErrExists) {
				t.Errorf("got error %v, want %v", err, ErrExists)
			}
			after, err := os.ReadFile(filepath.Join(dir, left))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, after) {
				t.Error("the file changed")
			}
		})
	}
}

func TestLoadRefusesWhatIsNotWhole(t *testing.T) {
	write := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	chmod := func(name string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	copied := func(from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			data, err := os.ReadFile(filepath.Join(dir, from))
			if err != nil {
				t.Fatal(err)
			}
			write(to, string(data))(t, dir)
		}
	}
	key := strings.Repeat("ab", 32)
	rows := []struct {
		name  string
		spoil func(*testing.T, string)
		want  error
	}{
		{"folder open to the group", chmod(".", 0o750), ErrExposed},
		{"cluster id is no UUID", write(fileCluster, "x"), ErrCorrupt},
		{"cluster id is nil", write(fileCluster, "00000000-0000-0000-0000-000000000000"), ErrCorrupt},
		{"master too short", write(fileMaster, key[2:]), ErrCorrupt},
		{"master too long", write(fileMaster, key+"ab"), ErrCorrupt},
		{"master not hexadecimal", write(fileMaster, strings.Repeat("zz", 32)), ErrCorrupt},
		{"no sealing key", write(fileSealing, "\n"), ErrCorrupt},
		{"sealing key too short", write(fileSealing, "1 abcd\n"), ErrCorrupt},
		{"sealing key id out of range", write(fileSealing, "256 "+key), ErrCorrupt},
		{"sealing key id twice", write(fileSealing, "1 "+key+"\n1 "+key), ErrCorrupt},
		{"sealing key without id", write(fileSealing, key), ErrCorrupt},
		{"operator seed of an account", copied(fileSystem, fileOperator), ErrCorrupt},
		{"system seed of an operator", copied(fileOperator, fileSystem), ErrCorrupt},
		{"seed empty", write(fileSigning, ""), ErrCorrupt},
		{"certificate of another key", copied(fileCAKey, fileCertKey), ErrCorrupt},
		{"certificate of another authority", func(t *testing.T, dir string) {
			other, _ := made(t)
			data, err := os.ReadFile(filepath.Join(other, fileCA))
			if err != nil {
				t.Fatal(err)
			}
			write(fileCA, string(data))(t, dir)
		}, ErrCorrupt},
		{"authority without a certificate", write(fileCA, "x"), ErrCorrupt},
		{"file too large", write(fileMaster, strings.Repeat("a", maxFile+1)), ErrCorrupt},
	}
	for _, name := range names() {
		if name == fileCAKey {
			continue
		}
		rows = append(rows, struct {
			name  string
			spoil func(*testing.T, string)
			want  error
		}{name + " missing", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}, ErrMissing}, struct {
			name  string
			spoil func(*testing.T, string)
			want  error
		}{name + " readable by all", chmod(name, 0o604), ErrExposed})
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			dir, _ := made(t)
			row.spoil(t, dir)
			if _, err := Load(dir); !errors.Is(err, row.want) {
				t.Errorf("got error %v, want %v", err, row.want)
			} else if strings.Contains(err.Error(), key[:8]) {
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, ErrMissing) {
		t.Errorf("absent folder: got error %v, want %v", err, ErrMissing)
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	dir, set := made(t)
	sealing, err := set.Sealing("handle")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "set", set, "key", sealing[0], "keys", sealing)
	fmt.Fprintf(&out, "%v %+v %#v %s %v %+v %#v", set, set, set, set, sealing, sealing[0], sealing[0])
	if !strings.Contains(out.String(), set.ClusterID().String()) {
		t.Errorf("the cluster is not named: %s", out.String())
	}
	for _, name := range []string{fileOperator, fileSigning, fileSystem, fileMaster} {
		secret, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), strings.TrimSpace(string(secret))) {
			t.Errorf("%s is printed", name)
		}
	}
	for _, secret := range [][]byte{set.master, sealing[0].Secret[:]} {
		for _, text := range []string{fmt.Sprintf("%x", secret), fmt.Sprint(secret), fmt.Sprintf("%#v", secret)[7:60]} {
			if strings.Contains(out.String(), text) {
				t.Errorf("a secret is printed: %s", out.String())
			}
		}
	}
}

func TestSealingKeysDifferByPurposeAndKeepTheirOrder(t *testing.T) {
	dir, _ := made(t)
	text := "7 " + strings.Repeat("07", 32) + "\n3 " + strings.Repeat("03", 32) + "\n"
	if err := os.WriteFile(filepath.Join(dir, fileSealing), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := set.Sealing("handle")
	if err != nil {
		t.Fatal(err)
	}
	token, err := set.Sealing("token")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]byte{7, 3}, []byte{handle[0].ID, handle[1].ID}); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	seen := map[[32]byte]bool{set.sealing[0].Secret: true, set.sealing[1].Secret: true}
	for _, k := range append(handle, token...) {
		if seen[k.Secret] {
			t.Errorf("%v is the key of another purpose or id", k)
		}
		seen[k.Secret] = true
	}
	again, err := set.Sealing("handle")
	if err != nil {
		t.Fatal(err)
	}
	if again[0].Secret != handle[0].Secret {
		t.Error("the same purpose gives another key")
	}
}

func TestTheOperatorTrustsItsSigningKey(t *testing.T) {
	_, set := made(t)
	operator, err := set.Operator()
	if err != nil {
		t.Fatal(err)
	}
	system, err := set.System().PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.NewAccountClaims(system)
	token, err := claims.Encode(set.OperatorSigning())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := jwt.DecodeAccountClaims(token)
	if err != nil {
		t.Fatal(err)
	}
	if !operator.DidSign(signed) {
		t.Error("an account signed with the signing key is not trusted")
	}
	if operator.SystemAccount != system {
		t.Errorf("system account is %s, want %s", operator.SystemAccount, system)
	}
}

func FuzzSealingKeys(f *testing.F) {
	key := strings.Repeat("ab", 32)
	for _, seed := range []string{"", "1 " + key, "255 " + key + "\n0 " + key, "1 " + key + "\n1 " + key, "-1 " + key, "1  " + key} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := parseSealing(text)
		if err != nil {
			return
		}
		seen := make(map[byte]bool)
		for _, k := range keys {
			if seen[k.ID] {
				t.Errorf("id %d is there twice", k.ID)
			}
			seen[k.ID] = true
		}
		if len(keys) == 0 {
			t.Error("accepted without a key")
		}
	})
}

func TestRotatedKeysComeFirst(t *testing.T) {
	dir, set := made(t)
	derived, err := set.Store()
	if err != nil || len(derived) != 1 || derived[0].ID != 0 {
		t.Fatalf("before a rotation there are %v, %v", derived, err)
	}
	for i, what := range []Rotated{Store, Store, Sealing} {
		if id, err := Rotate(dir, what); err != nil || id != []byte{1, 2, 2}[i] {
			t.Fatalf("rotation %d gives key %d, %v", i, id, err)
		}
	}
	if set, err = Load(dir); err != nil {
		t.Fatal(err)
	}
	all, err := set.Store()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 || all[0].ID != 2 || all[1].ID != 1 || all[2] != derived[0] || all[0].Secret == all[1].Secret {
		t.Errorf("the keys of the store are %v, want 2, 1 and the derived one as it was", all)
	}
	if len(set.sealing) != 2 || set.sealing[0].ID != 2 || set.sealing[1].ID != 1 {
		t.Errorf("the sealing keys are %v, want 2 and 1", set.sealing)
	}
	for _, name := range []string{fileStore, fileSealing} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if _, err := Rotate(dir, "master"); !errors.Is(err, ErrNotRotated) {
		t.Errorf("the master is rotated: %v", err)
	}
	for _, text := range []string{"0 " + strings.Repeat("ab", 32), "1 abcd", "\n"} {
		if err := os.WriteFile(filepath.Join(dir, fileStore), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(dir); !errors.Is(err, ErrCorrupt) {
			t.Errorf("store.keys %q: %v, want %v", text, err, ErrCorrupt)
		}
	}
}

func TestIdsOfKeysAreUsedAnew(t *testing.T) {
	dir, _ := made(t)
	line := func(id int) string { return fmt.Sprintf("%d %s\n", id, strings.Repeat("ab", 32)) }
	if err := os.WriteFile(filepath.Join(dir, fileStore), []byte(line(255)+line(1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if id, err := Rotate(dir, Store); err != nil || id != 2 {
		t.Errorf("after key 255 comes %d, %v, want 2, for 1 is taken", id, err)
	}
	var all strings.Builder
	for id := 255; id > 0; id-- {
		all.WriteString(line(id))
	}
	if err := os.WriteFile(filepath.Join(dir, fileStore), []byte(all.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Rotate(dir, Store); err == nil || !strings.Contains(err.Error(), "all ids are taken") {
		t.Errorf("with all ids taken: %v", err)
	}
}
