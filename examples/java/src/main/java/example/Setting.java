package example;

/** A setting from the environment. */
final class Setting {
    private Setting() {}

    static String of(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
