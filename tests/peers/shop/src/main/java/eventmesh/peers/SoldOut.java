package eventmesh.peers;

/** An exception that the interface declares. */
public final class SoldOut extends Exception {
    private static final long serialVersionUID = 1L;

    public SoldOut(String message) {
        super(message);
    }
}
