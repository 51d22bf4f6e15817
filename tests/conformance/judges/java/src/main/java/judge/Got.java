package judge;

import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What was read of one answer so far. */
final class Got {
    /** One call; its arguments grow. */
    static final class Call {
        String id;
        String name;
        final StringBuilder arguments = new StringBuilder();
    }

    private final StringBuilder text = new StringBuilder();
    private final StringBuilder reasoning = new StringBuilder();
    private int deltas;
    private int thoughts;
    private final Map<Long, Call> calls = new LinkedHashMap<>();
    private Map<String, Object> usage;
    String finish;

    /** The answer as it is given back: messages of Chat, or items of Responses. */
    List<Object> echo = List.of();

    /** The names of the models, where they were asked for. */
    List<String> models;

    String text() {
        return text.toString();
    }

    String reasoning() {
        return reasoning.toString();
    }

    Iterable<Call> calls() {
        return calls.values();
    }

    void say(String piece) {
        if (!piece.isEmpty()) {
            text.append(piece);
            deltas++;
        }
    }

    void think(String piece) {
        if (!piece.isEmpty()) {
            reasoning.append(piece);
            thoughts++;
        }
    }

    Call call(long key) {
        return calls.computeIfAbsent(key, unused -> new Call());
    }

    void count(long input, long output) {
        usage = Read.fields("input", input, "output", output);
    }

    Map<String, Object> told() {
        List<Object> told = new ArrayList<>();
        for (Call call : calls.values()) {
            told.add(Read.fields("id", call.id, "name", call.name, "arguments", parsed(call.arguments.toString())));
        }
        return Read.fields(
                "text", text(), "deltas", deltas, "reasoning", reasoning(), "thoughts", thoughts,
                "calls", told, "finish", finish, "usage", usage, "models", models);
    }

    private static Object parsed(String arguments) {
        try {
            return Read.object(arguments.isEmpty() ? "{}" : arguments);
        } catch (UncheckedIOException wrong) {
            return Map.of("_unparsed", arguments);
        }
    }
}
