import io.opentelemetry.api.GlobalOpenTelemetry;
import io.opentelemetry.api.trace.*;

/** A span with nine links and nine events. */
public class Limits {
    public static void main(String[] args) {
        SpanBuilder builder = GlobalOpenTelemetry.getTracer("shop").spanBuilder("limited");
        for (int i = 1; i < 10; i++) {
            builder.addLink(SpanContext.create(TraceId.fromLongs(1, i), SpanId.fromLong(i), TraceFlags.getSampled(), TraceState.getDefault()));
        }
        Span span = builder.startSpan();
        for (int i = 1; i < 10; i++) {
            span.addEvent("event" + i);
        }
        span.end();
    }
}
