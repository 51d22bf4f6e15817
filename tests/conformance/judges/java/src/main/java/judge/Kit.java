package judge;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** What every judge in Java does, whichever SDK it has. The lines it reads and writes: tests/conformance/judge.py. */
final class Kit {
    /** One way of one client. What an answer left to be echoed is among the natives, by the number of its request. */
    interface Way<S> {
        void ask(S sdk, Map<String, Object> asked, Map<Integer, List<Object>> natives, Got got);
    }

    private Kit() {}

    /** Answer line by line until there are no more. A way's key is its client and its name; a status may be null. */
    static <S> void serve(
            S sdk, Map<String, String> versions, Map<String, Way<S>> ways, Function<RuntimeException, Integer> status)
            throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.println(Read.text(Map.of("versions", versions)));
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Map<Integer, List<Object>> natives = new HashMap<>();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            Map<String, Object> asked = Read.object(line);
            Got got = new Got();
            Map<String, Object> error = null;
            try {
                ways.get(asked.get("client") + " " + asked.get("way")).ask(sdk, asked, natives, got);
            } catch (RuntimeException raised) {
                error = error(raised, status.apply(raised));
            }
            natives.put((Integer) asked.get("id"), got.echo);
            Map<String, Object> told = got.told();
            told.put("id", asked.get("id"));
            if (error != null) {
                told.put("error", error);
            }
            out.println(Read.text(told));
        }
    }

    private static Map<String, Object> error(RuntimeException raised, Integer status) {
        List<String> kinds = new ArrayList<>();
        for (Class<?> kind = raised.getClass(); kind != RuntimeException.class && kind != null; kind = kind.getSuperclass()) {
            kinds.add(kind.getSimpleName());
        }
        Map<String, Object> told = Read.fields("kinds", kinds, "message", String.valueOf(raised.getMessage()));
        if (status != null) {
            told.put("status", status);
        }
        return told;
    }
}
