package javaagent_test

import (
	"strings"
	"testing"

	"github.com/otelshift/otelshift/pkg/javaagent"
)

func TestRedact(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an option of SkyWalking's", "-Dskywalking.agent.authentication=tok en", "-Dskywalking.agent.authentication=***"},
		{"an entry", "SW_AGENT_AUTHENTICATION=tok", "SW_AGENT_AUTHENTICATION=***"},
		{"an option among others", "-Xmx1g -Dspring.datasource.password=p@ss -Dx=y", "-Xmx1g -Dspring.datasource.password=*** -Dx=y"},
		{"a registry's URL", "-Ddubbo.registry.address=nacos://n:8848?username=nacos&password=nacos", "-Ddubbo.registry.address=nacos://n:8848?username=nacos&password=***"},
		{"a password in a URL's host", "jdbc:mysql://root:p@db/x", "jdbc:mysql://root:***@db/x"},
		{"JSON", `{"org":"a","accessToken":"t","b":1}`, `{"org":"a","accessToken":***,"b":1}`},
		{"OTLP headers", "-Dotel.exporter.otlp.headers=authorization=Bearer x,tenant=y", "-Dotel.exporter.otlp.headers=***"},
		{"the entry of OTLP headers", "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer x", "OTEL_EXPORTER_OTLP_HEADERS=***"},
		{"options behind the jar", "agent.service_name=a,agent.authentication=t,x=y", "agent.service_name=a,agent.authentication=***,x=y"},
		{"a reference shows nothing", "-Dx=1 -Dmy.token=$(TOKEN)", "-Dx=1 -Dmy.token=$(TOKEN)"},
		{"nothing secret", "-Dskywalking.agent.service_name=cart", "-Dskywalking.agent.service_name=cart"},
		{"JSON in JSON", `{"sasl.mechanism":"x \"password=\\\"hunter two\\\";"}`, `{"sasl.mechanism":"x \"password=***;"}`},
		{"a password in escaped quotes", `x required password=\"hunter2\";`, `x required password=***;`},
		{"a login of Kafka's", `-Dskywalking.plugin.kafka.producer_config[sasl.jaas.config]=org.x.Plain required username="a" pw="b";`, `-Dskywalking.plugin.kafka.producer_config[sasl.jaas.config]=***`},
		{"producer options of Kafka's", `SW_PLUGIN_KAFKA_PRODUCER_CONFIG_JSON={"ssl.truststore.x":"hunter2"}`, `SW_PLUGIN_KAFKA_PRODUCER_CONFIG_JSON=***`},
		{"a message behind a hidden value", "-Dskywalking.a.token=*** would be lost: nothing corresponds", "-Dskywalking.a.token=*** would be lost: nothing corresponds"},
		{"a quote in quotes", `{"password":"a\"hunter2","b":1}`, `{"password":***,"b":1}`},
		{"a quote that does not end", `-Dx=1 -Dpassword="hunter2`, `-Dx=1 -Dpassword=***`},
		{"an empty token", "-Dskywalking.agent.authentication=", "-Dskywalking.agent.authentication="},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := javaagent.Redact(test.text)
			if got != test.want {
				t.Errorf("Redact(%q) = %q, want %q", test.text, got, test.want)
			}
			if again := javaagent.Redact(got); again != got {
				t.Errorf("redacting again gives %q", again)
			}
		})
	}
}

// secretForms are places that secrets stand in; the secret's place is %.
var secretForms = []string{
	"-Dmy.password=%", "-Dkeystore.pass=%", "-Xmx1g -Dkeystore.pass=% -Dx=1", "-Djavax.net.ssl.keyStorePassword=% -jar a.jar", "-Xmx1g -DdbPass=%",
	"java -jar a.jar --password % --port 1", "--password=% x", "-storepass % -alias x", `["--api-key","%","-v"]`, `["--api-key", "%"]`, "[--token, %]",
	"curl -u admin:% https://h/x", `mysql --user=admin:% x`, "sshpass -p % ssh h",
	"Authorization: Bearer %", "Authorization: Basic %", "authorization=Bearer %", `-H "Authorization: Bearer %" -v`, `-H 'Authorization: %'`, "Authorization: Custom %",
	`Authorization: Digest username="x", response="%"`, `{"Authorization":"Bearer %"}`, `{"Authorization":["Bearer %"]}`, "> authorization: token %", "Cookie: a=1; sid=%",
	"x-api-key: %", "-Dotel.exporter.otlp.headers=tenant=y,x-key=%", "-Dx=1 -Dotel.exporter.otlp.headers=authorization=Bearer %,tenant=y", "OTEL_EXPORTER_OTLP_HEADERS=a=%",
	"Proxy-Authorization: Bearer %", "sent Bearer % to h",
	"https://user:%@h/x", "amqp://app:%@a:1,amqp://app:%@b:2", "redis://:%@h:6379/0", "https://%@h/x.git", "jdbc:mysql://h:3306/x?user=a&password=%&ssl=true",
	`{"password":"%","b":1}`, `{"db":{"password" : "%"}}`, `{"credentials":{"user":"a","word":"%"},"b":1}`, `{"json":"{\"password\":\"%\"}"}`, `{"auth":"%"}`, `{"secrets":["a","%"]}`,
	`{"name":"DB_PASSWORD","value":"%"}`, "- name: DB_PASSWORD\n  value: %\n", "password: %", "  token: |\n    %\n    more\nb: 1", "secret => '%'", "pass := %",
	"DB_PASS=%", "export AWS_SECRET_ACCESS_KEY=%", "DB_PASSWORD='a%'x b", `DB_PASSWORD="a \" %" b`, "user=a;password=%;b=1", "Foo{user=a, password=%}", "password=a,%", "password=a;%",
	"<password>%</password>", `<server password="%"/>`, "acme.io/token: %", "x required username=\"a\" password=\"%\";", "-Dx=1 -Dsasl.jaas.config=org.x.Login required pw=\"%\";",
	"-----BEGIN RSA PRIVATE KEY-----\n%\n-----END RSA PRIVATE KEY----- x", "-----BEGIN PRIVATE KEY-----\n%", `key: "-----BEGIN EC PRIVATE KEY-----\n%\n-----END EC PRIVATE KEY-----"`,
	"AccountName=a;AccountKey=%;EndpointSuffix=x", "https://h/x?X-Amz-Signature=%", "https://h/x?sv=1&sig=%&se=2",
}

func TestRedactShowsNoSecretInAnyForm(t *testing.T) {
	for _, form := range secretForms {
		for _, secret := range []string{"hunter2hunter2hunter2", "Zm9vOmJhcjEyMzQ1Ng==", "h@nter/2+x~y", "p4.ss-w_rd%21!", "abcdefghijkl"} {
			if strings.Contains(form, "https://%@") && !strings.HasPrefix(secret, "hunter2") || strings.Contains(form, "sent Bearer") && strings.ContainsAny(secret, "@%") {
				continue // no token of a URL's or of a header's
			}
			text := strings.ReplaceAll(form, "%", secret)
			for name, redact := range map[string]func(string) string{"Redact": javaagent.Redact, "RedactText": javaagent.RedactText} {
				got := redact(text)
				if strings.Contains(got, secret) {
					t.Errorf("%s(%q) = %q shows the secret", name, text, got)
				}
				if again := redact(got); again != got {
					t.Errorf("%s(%q) = %q, and again %q", name, text, got, again)
				}
			}
		}
	}
}

func TestRedactKeepsWhatIsNoSecret(t *testing.T) {
	for _, text := range []string{
		"apps/shop/isecret.yaml:41:18: env JAVA_OPTS: unterminated quote",
		"isecret.yaml:41:18", "token.yaml:7", "apps/secret.yaml: no such file", "secrets/values.yaml:3:1 and password.json:4:2", "charts/token/Dockerfile:12",
		"at com.acme.TokenFilter.doFilter(TokenFilter.java:41)", "com.acme.security.AuthenticationException: no route to host",
		"-Dotel.exporter.otlp.endpoint=http://auth:4318", "http://token-service:8080/x", "dial tcp: lookup auth-service:443: no such host", "auth.shop.svc:8080",
		"registry.example/shop/auth-service:1.4-otel-0123456789ab@sha256:1111", "registry.example:5000/shop/token:2.0", "token-service:1.4.2",
		"shop/Deployment/token-service: the image is gone",
		"spec.template.spec.containers[name=token].env[name=JAVA_OPTS].value",
		"-Dx=1 -Dmy.token=$(TOKEN)", "-Dspring.datasource.password=${DB_PASSWORD} -Dx=1", "-Dbypass=true -Dcompass=x", "-Dtls.keyPath=/x", "--password-file /run/x", "SW_AGENT_TOKEN_FILE=/run/x",
		"Basic authentication is on", "https://git@github.com/acme/x", "git@github.com:acme/x.git", "jdbc:mysql://h:3306/x?user=a@b", "https://h:8443/a@b",
		"docker://registry:5000/x@sha256:1111", "-javaagent:/sw/skywalking-agent.jar=agent.service_name=auth,x=y", "-Dskywalking.agent.service_name=auth",
		"envFrom names the Secret shop-env, which nobody may read",
	} {
		if got := javaagent.RedactText(text); got != text {
			t.Errorf("RedactText(%q) = %q", text, got)
		}
		if got := javaagent.Redact(text); got != text {
			t.Errorf("Redact(%q) = %q", text, got)
		}
	}
}

func TestRedactShowsTheScheme(t *testing.T) {
	for text, want := range map[string]string{
		"key AKIAIOSFODNN7EXAMPLE and xoxb-123456789012":  "key *** and ***",
		"Authorization: Bearer X":                         "Authorization: Bearer ***",
		`curl -H "Authorization: Basic dTpw" https://h/x`: `curl -H "Authorization: Basic ***" https://h/x`,
		"java --password X --port 1":                      "java --password *** --port 1",
		"-Xmx1g -Dkeystore.pass=X -jar a.jar":             "-Xmx1g -Dkeystore.pass=*** -jar a.jar",
		"token=x user logged in":                          "token=*** user logged in",
	} {
		if got := javaagent.RedactText(text); got != want {
			t.Errorf("RedactText(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRedactWordsHidesTheWordBehindAFlag(t *testing.T) {
	got := javaagent.RedactWords([]string{"sh", "--password", "hunter2", "-u", "a:hunter2", "--token", "-v", "-Dx.pass=hunter2", "--port", "1"})
	if want := "sh --password *** -u a:*** --token -v -Dx.pass=*** --port 1"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", strings.Join(got, " "), want)
	}
}

func TestRedactLinesHidesKeysOverSeveralLines(t *testing.T) {
	body := strings.Repeat("Ab1+", 16)
	tests := []struct{ name, text, want string }{
		{"a whole key", "a\n-----BEGIN RSA PRIVATE KEY-----\n" + body + "\n-----END RSA PRIVATE KEY-----\nb", "a\n***\n***\n***\nb"},
		{"the end of one", body + "\n" + body + "\n-----END PRIVATE KEY-----\nb", "***\n***\n***\nb"},
		{"the beginning of one", "a\n-----BEGIN PRIVATE KEY-----\n" + body, "a\n***\n***"},
		{"a certificate is public", "-----BEGIN CERTIFICATE-----\n" + body, "-----BEGIN CERTIFICATE-----\n" + body},
		{"a pair", "a\npassword=hunter2 x", "a\npassword=*** x"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.Join(javaagent.RedactLines(strings.Split(test.text, "\n")), "\n"); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzRedact puts a secret into every form, with anything around it.
func FuzzRedact(f *testing.F) {
	f.Add("", "hunter2hunter2hunter2", "", uint8(0))
	f.Add("-Xmx1g ", "h,nter;2&x}y", " -Dx=1", uint8(3))
	f.Add("a: ", "quote\"in'it", "\n", uint8(7))
	f.Fuzz(func(t *testing.T, head, secret, end string, n uint8) {
		form := secretForms[int(n)%len(secretForms)]
		text := head + strings.ReplaceAll(form, "%", secret) + end
		got := javaagent.RedactText(text)
		if again := javaagent.RedactText(got); again != got {
			t.Errorf("RedactText(%q) = %q, and again %q", text, got, again)
		}
		javaagent.RedactWords(strings.Fields(text))
		javaagent.RedactLines(strings.Split(text, "\n"))
		// Words of a password: blanks and quotes need the quoting of the form.
		if len(secret) < 20 || strings.Trim(secret, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+~-!^|") != "" || strings.Trim(secret, "-.~!^|+") != secret {
			return
		}
		if strings.Contains(head+end, secret) || strings.Trim(head, " \n;") != "" || strings.Trim(end, " \n;") != "" || strings.Contains(form, "sent Bearer") || strings.Contains(form, "https://%@") {
			return
		}
		if strings.Contains(got, secret) {
			t.Errorf("RedactText(%q) = %q shows %q", text, got, secret)
		}
	})
}
